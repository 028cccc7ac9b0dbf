import { Swarm } from "../parts/swarm/swarm.js";
import { place } from "../router.js";
import { html } from "../preact.js";
import { t } from "../words.js";

/** #/swarm: every agency; #/swarm/NAME: one. */
export function SwarmView({ steps, agencies }) {
  const shown = steps[1] ? agencies.filter((agency) => agency.name === steps[1]) : agencies;
  return html`
    <div class="view swarm-view">
      <h1>${t("app.swarm")}</h1>
      ${agencies.length > 1 &&
      html`<nav class="swarm-index" aria-label=${t("swarm.agencies")}>
        <a href=${place(["swarm"])} aria-current=${steps[1] ? undefined : "page"}>${t("lists.all")}</a>
        ${agencies.map(
          ({ name }) => html`<a key=${name} href=${place(["swarm", name])} aria-current=${steps[1] === name ? "page" : undefined}>${name}</a>`,
        )}
      </nav>`}
      ${!shown.length && html`<p class="muted">${t("swarm.none")}</p>`}
      ${shown.map(
        (agency) => html`<section class="card" key=${agency.name} aria-label=${agency.name}>
          <h2 class="swarm-title" dir="auto">${agency.name}</h2>
          <${Swarm} agency=${agency} />
        </section>`,
      )}
      <p class="swarm-legend muted">${t("swarm.legend")}</p>
    </div>`;
}
