import * as api from "./api.js";
import { Icon, Sign } from "./parts/icons.js";
import { Loading, Problem, useLoaded, useRetry } from "./parts/load.js";
import { Preferences } from "./parts/preferences.js";
import { useTitle } from "./parts/title.js";
import { place, useRoute } from "./router.js";
import { isExpired, isSignedIn, onSession, owner } from "./session.js";
import { SignIn } from "./sign_in.js";
import { html, useEffect, useErrorBoundary, useState } from "./preact.js";
import { Approvals } from "./views/approvals.js";
import { Chat } from "./views/chat.js";
import { Run } from "./views/run.js";
import { Runs } from "./views/runs.js";
import { SwarmView } from "./views/swarm.js";
import { Usage } from "./views/usage.js";
import { t } from "./words.js";

const VIEWS = { chat: Chat, swarm: SwarmView, runs: Runs, approvals: Approvals, usage: Usage };
const REFRESH = 15_000; // ms between two looks at what waits for approval

/** The whole page: sign-in, then the sections and the view that the address names. A new sign-in is in front of them. */
export function App() {
  const [, setTurn] = useState(0);
  useEffect(() => onSession(() => setTurn((turn) => turn + 1)), []);
  const isThere = isSignedIn() || isExpired();
  return html`
    ${isThere && html`<div class="signed-in" inert=${isExpired()}><${Sections} key=${owner()} /></div>`}
    ${!isSignedIn() && html`<${SignIn} />`}
  `;
}

function Sections() {
  const { steps, query } = useRoute();
  const name = steps[0] ?? "chat";
  const known = useLoaded(loadKnown, []);
  const approvals = useLoaded(() => api.approvals({ limit: 20 }), [], { every: REFRESH });
  const waiting = count(approvals.value);
  useTitle({ waiting, section: Object.hasOwn(VIEWS, name) ? t(`app.${name}`) : t("app.notFoundTitle") });
  const again = () => [known, approvals].forEach((each) => each.error && each.reload());
  const isKnown = Object.hasOwn(VIEWS, name);
  const section = name === "runs" && steps[1] ? "run" : name;
  return html`
    <a class="skip" href="#content" onClick=${skip}>${t("app.skip")}</a>
    <${Menu} current=${name} waiting=${waiting} />
    <main id="content" tabindex="-1">
      <${Connection} error=${known.error ?? approvals.error} again=${again} />
      ${!isKnown && html`<${NotFound} />`}
      ${isKnown && known.error && known.error.status !== 0 && html`<${Problem} error=${known.error} again=${known.reload} />`}
      ${isKnown && html`<${Boundary} key=${section}>
        <${Section} name=${section} View=${section === "run" ? Run : VIEWS[name]}
          given=${known.value && { steps, query, ...known.value, approvals }} />
      <//>`}
    </main>
  `;
}

async function loadKnown() {
  const [agencies, caller] = await Promise.all([api.agencies(), api.caller()]);
  return { agencies, isOperator: caller.operator };
}

const count = (page) => (page?.data.length ? `${page.data.length}${page.has_more ? "+" : ""}` : null);

/** A view, as soon as what it is given is there. */
function Section({ name, View, given }) {
  useFocus(name, Boolean(given));
  return given ? html`<${View} ...${given} />` : html`<${Loading} />`;
}

let focused = null; // the section that was shown before

/** Where another section is shown its heading has the focus, so that it is read out; unless the view has set it. */
function useFocus(name, isThere) {
  useEffect(() => {
    focused ??= name;
    if (!isThere) return;
    const main = document.getElementById("content");
    if (focused !== name && !main.contains(document.activeElement)) {
      const heading = main.querySelector("h1") ?? main;
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
    }
    focused = name;
  }, [isThere]);
}

/** A fault in one view is said there, and the rest of the page goes on. */
function Boundary({ children }) {
  const [error, reset] = useErrorBoundary((fault) => console.error(fault));
  if (!error) return children;
  return html`<div class="view">
    <div class="problem" role="alert">
      <span>${t("app.fault")}</span>
      <button onClick=${reset}>${t("app.again")}</button>
    </div>
    <details class="fault"><summary>${t("app.details")}</summary><pre>${String(error.stack ?? error)}</pre></details>
  </div>`;
}

/** Says that the service cannot be reached for as long as that is so, and asks again when there is a network. */
function Connection({ error, again }) {
  useRetry(error, again);
  return html`<div class="connection" role="status">${error?.status === 0 ? html`<p>${t("app.offlineTrying")}</p>` : null}</div>`;
}

const NotFound = () => html`<div class="view">
  <div class="empty">
    <h1>${t("app.notFoundTitle")}</h1>
    <p>${t("app.notFound")}</p>
    <a class="button" href=${place([])}>${t("app.chat")}</a>
  </div>
</div>`;

function Menu({ current, waiting }) {
  const entry = (name) => html`
    <a href=${place([name])} aria-current=${current === name ? "page" : undefined}>
      <${Icon} name=${name} />
      <span class="label">${t(`app.${name}`)}</span>
      ${name === "approvals" && waiting ? html`<span class="badge">${waiting}</span>` : null}
    </a>
  `;
  return html`<header class="menu">
    <${Sign} />
    <nav aria-label=${t("app.menu")}>${Object.keys(VIEWS).map(entry)}</nav>
    <${Preferences} />
  </header>`;
}

function skip(event) {
  event.preventDefault(); // the # is the router's
  document.getElementById("content").focus();
}
