import { ApprovalCards } from "../parts/approval_cards.js";
import { Loading, Problem } from "../parts/load.js";
import { place } from "../router.js";
import { html, useEffect, useRef } from "../preact.js";
import { t } from "../words.js";

/** What waits for a decision, newest first, and what was just decided here. */
export function Approvals({ isOperator, approvals }) {
  const heading = useRef(null);
  const entries = approvals.value?.data;
  useEffect(() => void (entries && approvals.reload()), []);
  const foot = (each) => html`<a href=${place(["runs", each.root_response_id], { owner: each.owner })}>${t("lists.openRun")}</a>`;
  return html`<div class="view narrow">
    <h1 ref=${heading} tabindex="-1">${t("app.approvals")}</h1>
    ${approvals.error && approvals.error.status !== 0 && html`<${Problem} error=${approvals.error} again=${approvals.reload} />`}
    ${!entries && !approvals.error && html`<${Loading} />`}
    ${entries?.length === 0 && html`<div class="empty"><h2>${t("lists.nothingWaits")}</h2><p>${t("lists.nothingWaitsWhy")}</p></div>`}
    <${ApprovalCards} ...${{ approvals, entries, isOperator, heading, foot }} />
    ${approvals.value?.has_more && html`<p class="muted">${t("lists.moreWait")}</p>`}
  </div>`;
}
