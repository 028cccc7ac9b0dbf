// What an agent asks a person, in the talk.
import * as api from "../../api.js";
import { useLoaded } from "../../parts/load.js";
import { html, useEffect, useState } from "../../vendor/preact.js";
import { t } from "../../words.js";

const OFTEN = 5000; // ms between two looks whether somebody else has decided

/** `item`: an mcp_approval_request; `isOpen`: its run waits. */
export function Request({ item, isOpen, decide }) {
  const [decided, setDecided] = useState(null);
  const isPending = isOpen && !decided;
  const loaded = useLoaded(() => api.approval(item.id), [item.id, isOpen], { every: isPending ? OFTEN : undefined });
  const approval = decided ?? loaded.value;
  useEffect(() => setDecided(null), [item.id]);
  const answer = async (body) => setDecided(await decide(item.id, body));
  if (!approval) return html`<p class="note">${t(loaded.error ? "chat.requestGone" : "app.loading")}</p>`;
  if (approval.status !== "pending") return html`<${Decided} approval=${approval} />`;
  return html`<${Asked} approval=${approval} decide=${answer} />`;
}

function Decided({ approval }) {
  const by = approval.decision?.decided_by ?? "";
  return html`<p class="note decided" data-status=${approval.status}>
    <bdi>${t("chat.request", { agent: approval.agent, tool: approval.name })}</bdi>
    <span>${t(`chat.${approval.status}`, { by })}</span>
    ${approval.decision?.reason && html`<q dir="auto">${approval.decision.reason}</q>`}
  </p>`;
}

function Asked({ approval, decide }) {
  return html`<div class="card">
    <p>${t("chat.request", { agent: approval.agent, tool: approval.name })}</p>
    <pre tabindex="0">${JSON.stringify(approval.arguments, null, 2)}</pre>
    <button class="primary" onClick=${() => decide({ approve: true })}>${t("chat.approve")}</button>
    <button onClick=${() => decide({ approve: false })}>${t("chat.refuse")}</button>
  </div>`;
}
