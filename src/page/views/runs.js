import { isUnfinished } from "../answer.js";
import * as api from "../api.js";
import { time } from "../format.js";
import { timeOf } from "../items.js";
import { Confirm } from "../parts/dialog.js";
import { Loading, Problem } from "../parts/load.js";
import { place } from "../router.js";
import { html, useState } from "../preact.js";
import { t } from "../words.js";
import { askedBy, Filters, isFiltered } from "./runs/filters.js";
import { useRuns } from "./runs/pages.js";
import { RunTable } from "./runs/table.js";

const MOST_CANCELS = 20; // requests, each of which cancels up to 100 runs

export function Runs({ query, agencies, isOperator, approvals }) {
  const asked = askedBy(query, isOperator);
  const list = useRuns(asked);
  const [leaving, setLeaving] = useState(null); // what the dialog asks about: a run, or "all"
  const [said, setSaid] = useState("");
  const { runs, cursor, error, isLoading } = list;
  const owner = asked.query.owner;
  const canCancelAll = runs?.some(isUnfinished) && (!asked.isAdmin || owner);
  const cancel = async () => {
    if (leaving === "all") setSaid(t("lists.saidCancelled", { count: await cancelAll(owner) }));
    else await api.cancelResponse(leaving.id, asked.isAdmin);
    list.refresh();
    approvals.reload();
  };
  return html`<div class="view">
    <div class="head">
      <h1>${t("app.runs")}</h1>
      ${canCancelAll && html`<button onClick=${() => setLeaving("all")}>${t("lists.cancelAll")}</button>`}
    </div>
    <${Filters} ...${{ query, agencies, isOperator }} />
    <p class="said muted" role="status">${said}</p>
    ${error && error.status !== 0 && html`<${Problem} error=${error} again=${list.refresh} />`}
    ${runs === null && !error && html`<${Loading} />`}
    ${runs?.length > 0 && html`<${RunTable} ...${{ runs, asked: waitingOf(approvals) }} isAdmin=${asked.isAdmin} onCancel=${setLeaving} />`}
    ${runs?.length === 0 && html`<${Nothing} isFiltered=${isFiltered(query)} cursor=${cursor} />`}
    ${cursor &&
    html`<div class="more">
      <button disabled=${isLoading} onClick=${list.more}>${t("app.more")}</button>
      <span class="muted">${t("lists.lookedUntil", { when: time(timeOf(cursor)) })}</span>
    </div>`}
    ${leaving && html`<${Leaving} what=${leaving} owner=${owner} onConfirm=${cancel} onClose=${() => setLeaving(null)} />`}
  </div>`;
}

/** Return the tools that wait for a decision, by the runs that have asked and those that wait. */
function waitingOf({ value }) {
  return new Map(value?.data.flatMap(({ name, response_id: by, continued_by: waits }) => [[by, name], [waits, name]]));
}

/** Cancel all unfinished runs, one's own or an owner's, and return how many. */
async function cancelAll(owner) {
  const ended = new Set();
  for (let number = 0; number < MOST_CANCELS; number += 1) {
    const page = await api.cancelAll(owner);
    page.data.forEach((run) => ended.add(run.id));
    if (!page.has_more) break;
  }
  return ended.size;
}

function Nothing({ isFiltered: hasFilter, cursor }) {
  if (cursor) return html`<div class="empty"><p>${t("lists.nothingYet")}</p></div>`;
  return html`<div class="empty">
    <h2>${t(hasFilter ? "lists.noMatch" : "lists.noRuns")}</h2>
    ${!hasFilter && html`<p>${t("lists.noRunsWhy")}</p><a class="button" href=${place([])}>${t("app.chat")}</a>`}
  </div>`;
}

function Leaving({ what, owner, onConfirm, onClose }) {
  const isAll = what === "all";
  const title = isAll ? (owner ? t("lists.cancelAllOf", { owner }) : t("lists.cancelAllTitle")) : t("lists.cancelTitle", { what: what.model });
  return html`<${Confirm}
    title=${title}
    text=${t("lists.cancelWhy")}
    action=${t(isAll ? "lists.cancelAll" : "lists.cancelRun")}
    keep=${t("lists.keep")}
    onConfirm=${onConfirm}
    onClose=${onClose}
  />`;
}
