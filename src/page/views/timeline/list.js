// The trace as a table: for screen readers, and to copy.
import { count, money } from "../../format.js";
import { html, useState } from "../../preact.js";
import { t } from "../../words.js";
import { kindText, tookText } from "./describe.js";
import { listed } from "./model.js";

const SHOWN = 300; // rows at first

export function List({ trace, now, onSelect, selected }) {
  const [most, setMost] = useState(SHOWN);
  const rows = listed(trace.root);
  return html`
    <div class="tl-table" tabindex="0" role="region" aria-label=${t("timeline.list")}><table>
      <thead><tr>
        <th scope="col">${t("timeline.step")}</th>
        ${["took", "tokens", "cost"].map((name) => html`<th key=${name} scope="col" class="number">${t(`timeline.${name}`)}</th>`)}
      </tr></thead>
      <tbody>${rows.slice(0, most).map((row) => html`<${Row} key=${row.id} ...${{ row, now, onSelect }} isSelected=${row.id === selected} />`)}</tbody>
    </table></div>
    ${rows.length > most && html`<button onClick=${() => setMost(most + 1000)}>${t("timeline.moreRows", { count: count(rows.length - most) })}</button>`}`;
}

function Row({ row: { id, depth, node }, now, onSelect, isSelected }) {
  const tokens = (node.input_tokens ?? 0) + (node.output_tokens ?? 0);
  const press = () => onSelect({ id, node });
  return html`<tr data-selected=${isSelected}>
    <th scope="row" data-depth=${Math.min(depth, 5)}><span class="hidden">${depth} </span>
      <button class="plain" dir="auto" onClick=${press}><span class="muted">${kindText(node)}</span> ${node.name}</button>
      ${node.replayed && html` <small>${t("timeline.replayed")}</small>`}
      ${node.status !== "completed" && html` <small data-status=${node.status}>${t(`timeline.is_${node.status}`)}</small>`}
    </th>
    <td class="number">${tookText(node, now)}</td>
    <td class="number">${tokens ? count(tokens) : ""}</td>
    <td class="number">${tokens ? money(node.usd) : ""}</td>
  </tr>`;
}
