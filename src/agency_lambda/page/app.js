import * as api from "./api.js";
import { place, useRoute } from "./router.js";
import { isSignedIn, onSession } from "./session.js";
import { SignIn } from "./sign_in.js";
import { html, useEffect, useState } from "./vendor/preact.js";
import { Approvals } from "./views/approvals.js";
import { Chat } from "./views/chat.js";
import { Run } from "./views/run.js";
import { Runs } from "./views/runs.js";
import { SwarmView } from "./views/swarm.js";
import { Usage } from "./views/usage.js";
import { Problem, useLoaded } from "./parts/load.js";
import { t } from "./words.js";

const VIEWS = { chat: Chat, swarm: SwarmView, runs: Runs, approvals: Approvals, usage: Usage };
const REFRESH = 15_000; // ms between two looks at what waits for approval

/** The whole page: sign-in, then the sections and the view that the address names. */
export function App() {
  const [, setTurn] = useState(0);
  useEffect(() => onSession(() => setTurn((turn) => turn + 1)), []);
  return isSignedIn() ? html`<${Sections} />` : html`<${SignIn} />`;
}

function Sections() {
  const { steps, query } = useRoute();
  const name = steps[0] ?? "chat";
  const known = useLoaded(loadKnown, []);
  const waiting = useLoaded(() => api.approvals({ limit: 20 }), [], { every: REFRESH });
  const View = name === "runs" && steps[1] ? Run : VIEWS[name];
  const { agencies, isOperator } = known.value ?? {};
  return html`
    <a class="skip" href="#content" onClick=${skip}>${t("app.skip")}</a>
    <${Menu} current=${name} waiting=${waiting.value?.data.length} />
    <main id="content" tabindex="-1">
      ${known.error && html`<${Problem} error=${known.error} again=${known.reload} />`}
      ${known.value && View && html`<${View} ...${{ steps, query, agencies, isOperator, approvals: waiting }} />`}
      ${!View && html`<p>${t("app.notFound")}</p>`}
    </main>
  `;
}

async function loadKnown() {
  const [agencies, isOperator] = await Promise.all([api.agencies(), api.isOperator()]);
  return { agencies, isOperator };
}

function Menu({ current, waiting }) {
  const entry = (name) => html`
    <a href=${place([name])} aria-current=${current === name ? "page" : undefined}>
      ${t(`app.${name}`)}
      ${name === "approvals" && waiting ? html`<span class="badge">${waiting}</span>` : null}
    </a>
  `;
  return html`<nav class="menu" aria-label=${t("app.menu")}>${Object.keys(VIEWS).map(entry)}</nav>`;
}

function skip(event) {
  event.preventDefault(); // the # is the router's
  document.getElementById("content").focus();
}
