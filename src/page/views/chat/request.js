// What an agent asks a person, in the talk.
import * as api from "../../api.js";
import { ApprovalCard } from "../../parts/approval_card.js";
import { Decided } from "../../parts/decided.js";
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
  if (wasPending.current) return html`<${ApprovalCard} approval=${approval} decide=${(body) => decide(item.id, body)} />`;
  const { agent, name, status, decision } = approval;
  return html`<div class="note past" data-status=${status}>
    <p><bdi>${t("chat.request", { agent, tool: name })}</bdi></p>
    <${Decided} status=${status} decision=${decision} />
  </div>`;
}
