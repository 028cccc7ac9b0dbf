import * as api from "../api.js";
import { ApprovalCard } from "../parts/approval_card.js";
import { Loading, Problem } from "../parts/load.js";
import { place } from "../router.js";
import { html, useEffect, useRef, useState } from "../preact.js";
import { t } from "../words.js";

/** What waits for a decision, newest first, and what was just decided here. */
export function Approvals({ isOperator, approvals }) {
  const [said, setSaid] = useState("");
  const heading = useRef(null);
  const decided = useRef(new Set()); // ids, here
  const entries = approvals.value?.data;
  const decide = async (approval, body) => {
    const answer = await api.decide(approval.id, body, isOperator ? { owner: approval.owner } : {});
    decided.current.add(approval.id);
    setSaid(t(answer.status === "refused" ? "lists.saidRefused" : "lists.saidApproved", { what: approval.name }));
    approvals.reload();
    return answer;
  };
  useFocusKept(heading, entries);
  useGone(approvals.value, decided.current, (names) => setSaid(t("lists.saidGone", { what: names.join(", ") })));
  return html`<div class="view narrow">
    <h1 ref=${heading} tabindex="-1">${t("app.approvals")}</h1>
    <p class="said muted" role="status">${said}</p>
    ${approvals.error && approvals.error.status !== 0 && html`<${Problem} error=${approvals.error} again=${approvals.reload} />`}
    ${!entries && !approvals.error && html`<${Loading} />`}
    ${entries?.length === 0 && html`<div class="empty"><h2>${t("lists.nothingWaits")}</h2><p>${t("lists.nothingWaitsWhy")}</p></div>`}
    ${entries?.map(
      (each) => html`<${ApprovalCard} key=${each.id} level=${2} approval=${each} decide=${(body) => decide(each, body)}>
        <a href=${place(["runs", each.root_response_id], { owner: each.owner })}>${t("lists.openRun")}</a>
      <//>`,
    )}
    ${approvals.value?.has_more && html`<p class="muted">${t("lists.moreWait")}</p>`}
  </div>`;
}

/** The focus of a card that has gone goes to the heading, and not to the beginning of the page. */
function useFocusKept(heading, entries) {
  const before = useRef(0);
  useEffect(() => {
    const count = entries?.length ?? 0;
    if (count < before.current && document.activeElement === document.body) heading.current.focus({ preventScroll: true });
    before.current = count;
  }, [entries]);
}

/** Say which ones do not wait any more though nothing was decided here: somebody may just have typed a reason. */
function useGone(page, decidedHere, say) {
  const before = useRef([]);
  useEffect(() => {
    if (!page) return;
    const waiting = new Set(page.data.map((each) => each.id));
    const gone = before.current.filter(({ id }) => !waiting.has(id) && !decidedHere.has(id));
    if (gone.length && !page.has_more) say(gone.map((each) => each.name));
    before.current = page.data;
  }, [page]);
}
