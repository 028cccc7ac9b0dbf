// The trace as a table: for screen readers, and to copy.
import { count, duration, money } from "../../format.js";
import { html, useState } from "../../preact.js";
import { t } from "../../words.js";
import { kindText, tookText } from "./describe.js";

const SHOWN = 300; // rows at first

export function List({ trace, now, onSelect, selected }) {
  const [most, setMost] = useState(SHOWN);
  const rows = rowsOf(trace.root);
  return html`
    <div class="tl-table" tabindex="0" role="region" aria-label=${t("timeline.list")}><table>
      <thead><tr>
        <th scope="col">${t("timeline.step")}</th>
        ${["timeline.began", "timeline.took", "lists.tokens", "timeline.cost"].map(
          (name) => html`<th key=${name} scope="col" class="number">${t(name)}</th>`,
        )}
      </tr></thead>
      <tbody>${rows.slice(0, most).map(
        (row) => html`<${Row} key=${row.id} ...${{ row, now, onSelect }} start=${trace.root?.started_at} isSelected=${row.id === selected} />`,
      )}</tbody>
    </table></div>
    ${rows.length > most &&
    html`<button onClick=${() => setMost(most + 1000)}>${t("timeline.moreRows", { count: count(rows.length - most) })}</button>`}`;
}

/** A message and the agent that answers it are one row. */
function rowsOf(node, depth = 0, id = "0") {
  const children = node?.children ?? [];
  const isOne = node?.type === "message" && children.length === 1 && children[0].type === "agent";
  const [below, path] = isOne ? [children[0].children ?? [], `${id}.0`] : [children, id];
  return node ? [{ id, depth, node }, ...below.flatMap((child, index) => rowsOf(child, depth + 1, `${path}.${index}`))] : [];
}

function Row({ row: { id, depth, node }, now, start, onSelect, isSelected }) {
  const tokens = (node.input_tokens ?? 0) + (node.output_tokens ?? 0);
  const press = () => onSelect({ id, node });
  return html`<tr data-selected=${isSelected}>
    <th scope="row" data-depth=${Math.min(depth, 5)}><span class="hidden">${depth} </span>
      <button class="plain" dir="auto" onClick=${press}><span class="muted">${kindText(node)}</span> ${node.name}</button>
      ${node.replayed && html` <small>${t("timeline.replayed")}</small>`}
      ${node.status !== "completed" && html` <small data-status=${node.status}>${t(`timeline.is_${node.status}`)}</small>`}
    </th>
    <td class="number">${node.started_at ? `+${duration(node.started_at - start)}` : ""}</td>
    <td class="number">${tookText(node, now)}</td>
    <td class="number">${tokens ? count(tokens) : ""}</td>
    <td class="number">${tokens ? money(node.usd) : ""}</td>
  </tr>`;
}
