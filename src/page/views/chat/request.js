// What an agent asks a person, in the talk.
import * as api from "../../api.js";
import { ApprovalCard } from "../../parts/approval_card.js";
import { useLoaded } from "../../parts/load.js";
import { html, useRef } from "../../preact.js";
import { t } from "../../words.js";

const OFTEN = 5000; // ms between two looks whether somebody else has decided

/** `item`: an mcp_approval_request; `isOpen`: its run waits. A card that was open here stays one when it is decided. */
export function Request({ item, isOpen, decide }) {
  const wasPending = useRef(false);
  const loaded = useLoaded(() => api.approval(item.id), [item.id, isOpen], { every: isOpen ? OFTEN : undefined });
  const approval = loaded.value;
  wasPending.current ||= approval?.status === "pending";
  if (!approval) return html`<p class="note">${t(loaded.error ? "chat.requestGone" : "app.loading")}</p>`;
  if (!wasPending.current) return html`<${Past} approval=${approval} />`;
  return html`<${ApprovalCard} approval=${approval} decide=${(body) => decide(item.id, body)} />`;
}

function Past({ approval: { agent, name, status, decision } }) {
  return html`<p class="note past" data-status=${status}>
    <bdi>${t("chat.request", { agent, tool: name })}</bdi>
    <span>${t(`chat.${status}`, { by: decision?.decided_by ?? "" })}</span>
    ${decision?.reason && html`<q dir="auto">${decision.reason}</q>`}
  </p>`;
}
