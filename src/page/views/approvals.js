import * as api from "../api.js";
import { ApprovalCard } from "../parts/approval_card.js";
import { Loading, Problem } from "../parts/load.js";
import { place } from "../router.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../preact.js";
import { t } from "../words.js";

const STILL = 800; // ms

/** What waits for a decision, newest first, and what was just decided here. */
export function Approvals({ isOperator, approvals }) {
  const [said, setSaid] = useState("");
  const heading = useRef(null);
  const decided = useRef(new Set()); // ids, here
  const entries = approvals.value?.data;
  const decide = async (approval, body) => {
    const answer = await api.decide(approval.id, body, isOperator ? { owner: approval.owner } : {});
    decided.current.add(approval.id);
    setSaid(t(answer.status === "refused" ? "lists.saidRefused" : "lists.saidApproved", { what: whatOf(approval) }));
    approvals.reload();
    return answer;
  };
  const isMoving = useMoving(entries?.map(({ id }) => id).join(" "));
  useFocusKept(heading, entries);
  useGone(approvals.value, decided.current, (names) => setSaid(t("lists.saidGone", { what: names.join(", ") })));
  return html`<div class="view narrow">
    <h1 ref=${heading} tabindex="-1">${t("app.approvals")}</h1>
    <p class="said muted" role="status">${said}</p>
    ${approvals.error && approvals.error.status !== 0 && html`<${Problem} error=${approvals.error} again=${approvals.reload} />`}
    ${!entries && !approvals.error && html`<${Loading} />`}
    ${entries?.length === 0 && html`<div class="empty"><h2>${t("lists.nothingWaits")}</h2><p>${t("lists.nothingWaitsWhy")}</p></div>`}
    <div class="waiting" data-moving=${isMoving}>${entries?.map(
      (each) => html`<${ApprovalCard} key=${each.id} level=${2} approval=${each} decide=${(body) => decide(each, body)}>
        <a href=${place(["runs", each.root_response_id], { owner: each.owner })}>${t("lists.openRun")}</a>
      <//>`,
    )}</div>
    ${approvals.value?.has_more && html`<p class="muted">${t("lists.moreWait")}</p>`}
  </div>`;
}

/** Return a call in a few words. */
function whatOf({ name, arguments: given }) {
  const values = Object.values(given ?? {}).filter((value) => typeof value !== "object");
  return `${name} ${values.join(", ")}`.trim().slice(0, 80);
}

/** Return whether the cards have just moved: a second click is not for what has slid below the mouse. */
function useMoving(ids) {
  const before = useRef(ids);
  const [isMoving, setMoving] = useState(false);
  useLayoutEffect(() => {
    if (before.current === ids || before.current === undefined) return void (before.current = ids);
    before.current = ids;
    setMoving(true);
    const timer = setTimeout(() => setMoving(false), STILL);
    return () => clearTimeout(timer);
  }, [ids]);
  return isMoving;
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
