import { Owners } from "../../parts/owners.js";
import { go } from "../../router.js";
import { settings } from "../../session.js";
import { html } from "../../preact.js";
import { t } from "../../words.js";

const WAITS = "waitsPerson"; // no status of its own: one that is in progress
const STATUSES = ["queued", "in_progress", WAITS, "completed", "incomplete", "failed", "cancelled"];
const SINCE = { today: midnight, 7: before(7), 30: before(30) }; // -> Unix seconds
const NAMES = ["status", "model", "since", "conversation", "owner"];

function midnight() {
  return Math.floor(new Date().setHours(0, 0, 0, 0) / 1000);
}
function before(days) {
  return () => Math.floor(Date.now() / 1000) - days * 86_400;
}

/**
 * Return what the address asks for: the query of the list, `since` as a function, whether of all owners (`isAdmin`), and
 * whether only what waits for a person (`waits`).
 */
export function askedBy(query, isOperator) {
  const given = Object.fromEntries(query);
  const isAdmin = isOperator && settings.auth !== "none" && (given.scope === "all" || Boolean(given.owner));
  const { model, conversation } = given;
  const waits = given.status === WAITS;
  const status = waits ? "in_progress" : given.status;
  const owner = isAdmin ? given.owner : undefined;
  return { query: { status, model, conversation, owner }, since: SINCE[given.since], sinceName: given.since, isAdmin, waits };
}

export const isFiltered = (query) => NAMES.some((name) => query.get(name));

export function Filters({ query, agencies, isOperator }) {
  const given = Object.fromEntries(query);
  const set = (changes) => go(["runs"], { ...given, ...changes }, { replace: true });
  const select = (name, label, options) => html`
    <label class="filter">
      <span>${label}</span>
      <select value=${given[name] ?? ""} onChange=${({ target }) => set({ [name]: target.value })}>${options}</select>
    </label>
  `;
  return html`<form class="filters" role="search" aria-label=${t("lists.filters")} onSubmit=${(event) => event.preventDefault()}>
    ${select("status", t("lists.status"), [
      html`<option value="">${t("lists.all")}</option>`,
      ...STATUSES.map((each) => html`<option value=${each}>${t(each === "failed" ? "app.failedStatus" : `app.${each}`)}</option>`),
    ])}
    ${select("model", t("lists.agency"), [html`<option value="">${t("lists.all")}</option>`, ...agencies.map(ofAgency)])}
    ${select("since", t("lists.began"), [
      html`<option value="">${t("lists.anyTime")}</option>`,
      html`<option value="today">${t("lists.today")}</option>`,
      ...[7, 30].map((days) => html`<option value=${days}>${t("lists.days", { days })}</option>`),
    ])}
    ${isOperator && settings.auth !== "none" && html`<${Owners} given=${given} set=${set} />`}
    ${given.conversation &&
    html`<button type="button" class="chip" onClick=${() => set({ conversation: "" })}>
      ${t("lists.oneConversation")}<span aria-hidden="true">×</span><span class="hidden">${t("lists.remove")}</span>
    </button>`}
    ${isFiltered(query) &&
    html`<button type="button" class="plain" onClick=${() => go(["runs"], { scope: given.scope }, { replace: true })}>
      ${t("lists.clear")}
    </button>`}
  </form>`;
}

function ofAgency({ name, agents = [] }) {
  if (!agents.length) return html`<option value=${name}>${name}</option>`;
  return html`<optgroup label=${name}>
    <option value=${name}>${t("lists.wholeAgency", { name })}</option>
    ${agents.map((agent) => html`<option value="${name}/${agent.name ?? agent}">${agent.name ?? agent}</option>`)}
  </optgroup>`;
}
