import { isUnfinished } from "../../answer.js";
import { count, shortTime, time, took } from "../../format.js";
import { Cost } from "../../parts/cost.js";
import { useNow } from "../../parts/now.js";
import { Status } from "../../parts/status.js";
import { place } from "../../router.js";
import { html } from "../../preact.js";
import { codeText, t } from "../../words.js";
import { About } from "./about.js";

/**
 * A table of runs; a list of cards where it is narrow, with the roles of a table all the same. `asked`: the tools for
 * which runs ask a person, by the ids of the runs.
 */
export function RunTable({ runs, isAdmin, asked, onCancel }) {
  const now = useNow(runs.some(isUnfinished), 1000);
  const names = ["what", "status", "began", "took", "tokens", isAdmin ? "owner" : "cost"];
  const numbers = new Set(["began", "took", "tokens", "cost"]);
  return html`<table class="runs" role="table">
    <thead role="rowgroup">
      <tr role="row">
        ${names.map(
          (name) => html`<th role="columnheader" scope="col" class=${numbers.has(name) ? "number" : ""}>${t(`lists.${name}`)}</th>`,
        )}
        <th role="columnheader" scope="col"><span class="hidden">${t("app.cancel")}</span></th>
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${runs.map((run) => html`<${Row} key=${run.id} ...${{ run, isAdmin, onCancel, now }} ask=${asked.get(run.id)} />`)}
    </tbody>
  </table>`;
}

function Row({ run, isAdmin, ask, onCancel, now }) {
  const tokens = run.usage?.total_tokens;
  return html`<tr role="row">
    <td role="cell" class="what">
      <a href=${place(["runs", run.id], { owner: run.owner })}><bdi>${run.model}</bdi></a>
      ${!isAdmin && html`<${About} run=${run} />`}
    </td>
    <td role="cell" class="state">
      <${Status} run=${ask && run.ended_at ? { status: "asked" } : run} />
      ${ask && html`<code class="muted">${ask}</code>`}
      ${run.error_code &&
      html`<span class="muted" title=${run.error_code}>${codeText(run.error_code) ?? html`<code>${run.error_code}</code>`}</span>`}
      ${run.attempts > 1 && html`<span class="muted">${t("lists.attempts", { count: run.attempts })}</span>`}
    </td>
    <td role="cell" class="number" title=${time(run.created_at)}>${shortTime(run.created_at)}</td>
    <td role="cell" class="number">${took([run], now)}</td>
    <td role="cell" class="number tokens">
      ${count(tokens)}${tokens !== undefined && run.waits_for === "agents" ? "+" : ""}<span class="unit">${t("lists.tokensUnit")}</span>
    </td>
    ${isAdmin
      ? html`<td role="cell" class="owner"><bdi>${run.owner}</bdi></td>`
      : html`<td role="cell" class="number cost"><${Cost} run=${run} /></td>`}
    <td role="cell" class="act">
      ${isUnfinished(run) &&
      html`<button class="small" onClick=${() => onCancel(run)}>${t("app.cancel")}</button>`}
    </td>
  </tr>`;
}
