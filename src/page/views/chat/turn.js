// One turn: the question, what the agents did, the answer, and what it cost.
import { activities, isOver, messages, requests, shown } from "../../answer.js";
import * as api from "../../api.js";
import { count, money, took } from "../../format.js";
import { textOf } from "../../items.js";
import { Markdown } from "../../markdown.js";
import { CopyButton } from "../../parts/copy.js";
import { MadeFiles, SentFiles } from "../../parts/files.js";
import { LogId, problemText, useLoaded } from "../../parts/load.js";
import { place } from "../../router.js";
import { html, useMemo, useState } from "../../preact.js";
import { t } from "../../words.js";
import { Activities, secondsOf } from "./activities.js";
import { Request } from "./request.js";
import { itemsOf } from "./turns.js";

/** `tools`: decide(id, body), again(turn). A turn that has not changed is not drawn again. */
export function Turn({ turn, isLast, isBusy, tools }) {
  const [isOpened, setOpened] = useState(false);
  const isRunning = isBusy && isLast;
  const isTraced = !isRunning && turn.answers.length > 0 && (turn.isLive || isLast || isOpened);
  const traces = useLoaded(() => loadTraces(isTraced ? turn.answers : []), [isTraced, turn.answers.length]);
  return useMemo(
    // The log says what is added to it; that is the whole answer, when it is complete.
    () => html`<article class="turn" aria-live=${turn.isLive ? undefined : "off"}>
      <${Question} parts=${turn.question} />
      <${Answer} ...${{ turn, isRunning, tools }} traces=${traces.value ?? []} onOpen=${() => setOpened(true)} />
    </article>`,
    [turn, isRunning, traces.value],
  );
}

const loadTraces = (answers) => {
  const ids = answers.map((answer) => answer.id).filter(Boolean);
  return Promise.all(ids.map((id) => api.trace(id).catch(() => null))).then((all) => all.filter(Boolean));
};

function Question({ parts }) {
  if (!parts.length) return null;
  return html`<div class="question" aria-live="off">
    <h2 class="hidden">${t("chat.you")}</h2>
    ${textOf(parts) && html`<p dir="auto">${textOf(parts)}</p>`}
    <${SentFiles} parts=${parts} />
  </div>`;
}

function Answer({ turn, isRunning, traces, tools, onOpen }) {
  const items = itemsOf(turn.answers, shown);
  const all = { items };
  const steps = activities(all);
  const times = new Map(turn.answers.flatMap((answer) => [...(answer.times ?? [])]));
  const seconds = useMemo(() => secondsOf(steps, traces), [traces]);
  const last = turn.answers.at(-1);
  const isAsked = requests(all).length > 0;
  const isStreamed = isRunning && last && !isOver(last) && !last.isWaiting && !last.isLost; // and not stored yet
  return html`<div class="answer">
    <h2 class="hidden">${t("chat.answer")}</h2>
    <${Activities} ...${{ steps, times, seconds, onOpen }} ended=${turn.failure ? "failed" : last?.status}
      isRunning=${isRunning && !last?.isWaiting && !last?.isLost && !isAsked} />
    ${items.map((item) => {
      if (item.type === "message") return html`<${Message} key=${`${item.id} ${isRunning}`} ...${{ item, isRunning }} />`;
      if (item.type !== "mcp_approval_request") return null;
      if (isStreamed && last.items.includes(item)) return html`<p key=${item.id} class="note">${t("app.loading")}</p>`;
      return html`<${Request} key=${item.id} item=${item} isOpen=${isRunning} decide=${tools.decide} />`;
    })}
    ${last?.isLost && isRunning && html`<p class="note lost" role="status">${t("chat.lost")}</p>`}
    ${last?.isWaiting && isRunning && !isAsked && html`<p class="note">${t("chat.waiting")}</p>`}
    <${Ending} ...${{ turn, last, isRunning, tools }} />
    ${!isRunning && turn.answers.length > 0 && html`<${Summary} ...${{ turn, items, traces }} />`}
  </div>`;
}

function Message({ item, isRunning }) {
  const parts = item.content ?? [];
  return html`<div class="message" aria-live=${isRunning ? "off" : undefined}>
    <p class="speaker"><bdi>${item.agent}</bdi></p>
    ${parts.map((part) =>
      part.type === "refusal"
        ? html`<p class="note" dir="auto">${part.refusal}</p>`
        : html`<${Markdown} text=${part.text ?? ""} />`,
    )}
    <${MadeFiles} parts=${parts} />
  </div>`;
}

/** Why there is no whole answer, and what one can do about it. */
function Ending({ turn, last, isRunning, tools }) {
  if (isRunning) return null;
  const reason = turn.failure ? problemText(turn.failure) : endText(last);
  if (!reason) return null;
  const isBad = turn.failure || last?.status === "failed";
  return html`<div class=${isBad ? "problem" : "note ended"} role=${isBad ? "alert" : undefined}>
    <span>${reason}</span>
    ${isBad && html`<${LogId} id=${turn.failure ? turn.failure.requestId : last.id} />`}
    ${turn.question.length > 0 && canHelp(turn.failure) && html`<button onClick=${() => tools.again(turn)}>${t("app.again")}</button>`}
  </div>`;
}

/** Return whether the same question may be answered now. */
const canHelp = (failure) => failure?.code !== "budget_exceeded" && failure?.status !== 404;

function endText(answer) {
  if (answer?.status === "failed") return problemText({ ...answer.error, code: answer.error?.detail_code ?? answer.error?.code });
  if (answer?.status === "cancelled") return t("chat.stopped");
  return answer?.status === "incomplete" ? t("chat.incomplete") : null;
}

function Summary({ turn, items, traces }) {
  const agents = new Set(items.flatMap((item) => [item.agent, item.recipient]).filter(Boolean)).size;
  const tokens = turn.answers.reduce((sum, answer) => sum + (answer.usage?.total_tokens ?? 0), 0);
  const text = textOf(messages({ items }).flatMap((item) => item.content ?? []));
  const run = turn.answers.findLast((answer) => answer.id)?.id;
  return html`<footer class="summary" aria-live="off">
    ${agents > 1 && html`<span>${t("chat.agents", { agents })}</span>`}
    ${traces.length > 0 && html`<span>${took(traces)}</span>`}
    ${tokens > 0 && html`<span>${t("timeline.tokensOf", { tokens: count(tokens) })}</span>`}
    ${traces.length > 0 && html`<span>${money(costOf(traces))}</span>`}
    ${run && html`<a href=${place(["runs", run])}>${t("chat.run")}</a>`}
    ${text && html`<${CopyButton} text=${text} />`}
  </footer>`;
}

function costOf(traces) {
  const prices = traces.map((trace) => trace.usd);
  return prices.includes(null) ? null : prices.reduce((sum, usd) => sum + usd, 0);
}
