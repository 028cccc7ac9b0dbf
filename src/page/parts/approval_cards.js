// What waits for a decision, as cards, and what becomes of it.
import * as api from "../api.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../preact.js";
import { t } from "../words.js";
import { ApprovalCard } from "./approval_card.js";

const STILL = 800; // ms

/**
 * approvals: what is loaded of GET /v1/approvals; entries: those of it that are shown. heading: a ref of what has the
 * focus when a card is gone. onDecided() is called after each decision; foot(approval) is shown below a card.
 */
export function ApprovalCards({ approvals, entries, isOperator, heading, onDecided, foot }) {
  const [said, setSaid] = useState("");
  const decided = useRef(new Set()); // ids, here
  const decide = async (approval, body) => {
    const answer = await api.decide(approval.id, body, isOperator ? { owner: approval.owner } : {});
    decided.current.add(approval.id);
    const what = whatOf(approval.name, answer.decision?.arguments ?? approval.arguments);
    setSaid(t(answer.status === "refused" ? "lists.saidRefused" : "lists.saidApproved", { what }));
    approvals.reload();
    onDecided?.();
    return answer;
  };
  const isMoving = useMoving(entries?.map(({ id }) => id).join(" "));
  useFocusKept(heading, entries);
  const sayGone = (names) => setSaid(t("lists.saidGone", { what: names.join(", ") }));
  useGone(approvals.value && entries, approvals.value?.has_more, decided.current, sayGone);
  return html`
    <p class="said muted" role="status">${said}</p>
    <div class="waiting" data-moving=${isMoving}>${entries?.map(
      (each) => html`<${ApprovalCard} key=${each.id} level=${2} approval=${each} decide=${(body) => decide(each, body)}>${foot?.(each)}<//>`,
    )}</div>
  `;
}

/** Return a call in a few words. */
function whatOf(name, given) {
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
function useGone(entries, isMore, decidedHere, say) {
  const before = useRef([]);
  useEffect(() => {
    if (!entries) return;
    const waiting = new Set(entries.map((each) => each.id));
    const gone = before.current.filter(({ id }) => !waiting.has(id) && !decidedHere.has(id));
    if (gone.length && !isMore) say(gone.map((each) => each.name));
    before.current = entries;
  }, [entries]);
}
