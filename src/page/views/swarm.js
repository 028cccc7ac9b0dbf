import { place } from "../router.js";
import { html, useMemo, useState } from "../preact.js";
import { t } from "../words.js";
import { Graph } from "./swarm/graph.js";
import { noLights, ofAnswer, ofTrace } from "./swarm/lights.js";
import { Listed, Panel, useTrace } from "./swarm/panel.js";

/**
 * An agency as a graph that shows who works: `agency` of GET /agencies; `answer` as answer.js makes it, or `trace`.
 *
 * `addressed`: the agent that was asked, where it is not the first entry point. `traceOf`: the response whose trace
 * says what each agent has cost.
 */
export function Swarm({ agency, answer, trace, traceOf, addressed }) {
  const [selected, setSelected] = useState(null);
  const name = agency.agents.some((agent) => agent.name === selected) ? selected : null;
  const lights = useMemo(
    () => (trace ? ofTrace(trace, agency) : answer ? ofAnswer(answer, agency, addressed) : noLights()),
    [agency, answer, trace, addressed],
  );
  const steps = answer ? answer.items.filter((item) => item?.status === "completed").length : 0;
  const asked = useTrace(name && !trace ? traceOf : null, `${steps} ${answer?.status}`);
  if (agency.error) return html`<p class="problem">${t("swarm.broken", { code: agency.error.code })}</p>`;
  const select = (each) => setSelected((before) => (before === each ? null : each));
  const close = (event) => {
    event.currentTarget.closest(".swarm").querySelector("[aria-pressed=true]").focus();
    setSelected(null);
  };
  return html`
    <div class="swarm" data-live=${lights.isLive}>
      <${Graph} ...${{ agency, lights, selected: name }} onSelect=${select} />
      <${Listed} agency=${agency} lights=${lights} />
      ${name &&
      html`<${Panel} ...${{ agency, name, lights, trace: trace ?? asked }} onSelect=${setSelected} onClose=${close} />`}
    </div>`;
}

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
