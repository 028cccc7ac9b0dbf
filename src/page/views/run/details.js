// One call of a trace, pinned: its facts, and for operators what was asked and answered.
import { clockTime } from "../../format.js";
import { Decided } from "../../parts/decided.js";
import { html, useEffect, useRef, useState } from "../../preact.js";
import { t } from "../../words.js";
import { costText, kindText, tokensText, tookText } from "./describe.js";

const FOLDED = 1200; // letters of a text that are shown at first
const CONTENTS = ["instructions", "input", "arguments", "output"];

export function Details({ node, contents, now, onClose }) {
  const facts = [
    ["agent", node.agent],
    ["model", node.model],
    ["began", clockTime(node.started_at)],
    ["took", tookText(node, now)],
    ["tokens", node.input_tokens || node.output_tokens ? tokensText(node) : null],
    ["cost", costText(node)],
    ["attempt", node.attempt ? `${node.attempt}${node.replayed ? `, ${t("timeline.replayed")}` : ""}` : null],
    ["status", node.status === "completed" ? null : t(`timeline.is_${node.status}`)],
    ["run", node.run?.response_id],
  ];
  const section = useRef(null);
  useEffect(() => section.current.scrollIntoView({ block: "nearest" }), [node.id ?? node.started_at]);
  return html`<section class="card tl-details" ref=${section} aria-label=${t("timeline.details")}>
    <header><h2 dir="auto">${kindText(node)}: ${node.name}</h2>
      <button class="plain" aria-label=${t("app.close")} onClick=${onClose}>✕</button></header>
    <dl class="tl-facts">${facts
      .filter(([, value]) => value)
      .map(([name, value]) => html`<div key=${name}><dt>${t(`timeline.${name}`)}</dt><dd dir="auto">${value}</dd></div>`)}</dl>
    ${(node.approvals ?? []).map((approval) => html`<${Decided} key=${approval.id} status=${approval.status} decision=${approval} />`)}
    ${CONTENTS.filter((name) => node[name] !== undefined && node[name] !== null).map(
      (name) => html`<${Content} key=${name} name=${t(`timeline.${name}`)} value=${node[name]} />`,
    )}
    ${["off", "too_large"].includes(contents) && html`<p class="muted">${t(`timeline.contents_${contents}`)}</p>`}
  </section>`;
}

function Content({ name, value }) {
  const text = pretty(value);
  const [isWhole, setWhole] = useState(text.length <= FOLDED);
  const shown = isWhole ? text : `${text.slice(0, FOLDED)}…`;
  return html`<div class="tl-content"><h3>${name}</h3>
    <pre tabindex="0" dir="auto" aria-label=${name}>${shown}</pre>
    ${!isWhole && html`<button onClick=${() => setWhole(true)}>${t("timeline.whole")}</button>`}
  </div>`;
}

/** JSON as lines, in texts that are JSON too; other texts as they are. */
function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  if (!/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}
