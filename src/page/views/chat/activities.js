// What the agents do, as one quiet line that opens into a tree.
import { duration } from "../../format.js";
import { html, useMemo, useState } from "../../preact.js";
import { t } from "../../words.js";

const SHOWN = 150; // steps, of which the newest are shown before one asks for all
let isOpenByDefault = false; // as the reader has left it last

/**
 * `ended`: the status of the answer. By the ids of steps, `times`: when they began and ended in this page; `seconds`: how
 * long they took, once it is known.
 */
export function Activities({ steps, isRunning, ended, times, seconds, onOpen }) {
  const [isOpen, setOpen] = useState(isOpenByDefault);
  const toggled = (event) => {
    setOpen((isOpenByDefault = event.currentTarget.open));
    if (event.currentTarget.open) onOpen();
  };
  if (!steps.length && !isRunning) return null;
  const now = isRunning ? steps.findLast((step) => step.status === "in_progress") : null;
  const done = steps.length === 1 ? t("chat.step") : t("chat.steps", { steps: steps.length });
  const line = isRunning ? (now ? stepText(now) : t(steps.length ? "chat.thinks" : "chat.begins")) : done;
  return html`<details class="activities" open=${isOpen} onToggle=${toggled} data-running=${isRunning} data-ended=${ended} aria-live="off">
    <summary><span class="pulse" aria-hidden="true"></span><bdi>${line}</bdi></summary>
    ${isOpen && html`<${Steps} ...${{ steps, times, seconds }} />`}
  </details>`;
}

const stepText = ({ agent, tool, recipient, summary }) =>
  recipient
    ? t("chat.asks", { agent, recipient })
    : tool
      ? t("chat.uses", { agent, tool })
      : (summary?.map((each) => each.text).join(" ") ?? agent);

function Steps({ steps, times, seconds }) {
  const [isAll, setAll] = useState(false);
  const rows = useMemo(() => inOrder(steps), [steps]);
  const hidden = isAll ? 0 : Math.max(0, rows.length - SHOWN);
  return html`
    ${hidden > 0 && html`<button class="small" onClick=${() => setAll(true)}>${t("chat.allSteps", { hidden })}</button>`}
    <ol class="steps">
      ${rows.slice(hidden).map(
        ([step, depth]) => html`<li key=${step.id} class=${`depth-${Math.min(depth, 4)}`} data-status=${step.status}>
          <span class="mark" aria-hidden="true"></span>
          <bdi>${stepText(step)}</bdi>
          <span class="took"><${Took} step=${step} time=${times.get(step.id)} seconds=${seconds.get(step.id)} /></span>
        </li>`,
      )}
    </ol>
  `;
}

function Took({ step, time, seconds }) {
  if (step.status === "in_progress") return html`<span class="hidden">${t("app.in_progress")}</span>`;
  if (step.status === "incomplete") return t("chat.notDone");
  const known = seconds ?? (time?.to ? (time.to - time.from) / 1000 : null);
  return known === null ? html`<span class="hidden">${t("app.completed")}</span>` : duration(known);
}

/** Return [step, depth] of all steps, each behind the one that it is within. */
function inOrder(steps) {
  const ids = new Set(steps.map((step) => step.id));
  const children = Map.groupBy(steps, (step) => (ids.has(step.parent) ? step.parent : null));
  const rows = [];
  const todo = (children.get(null) ?? []).map((step) => [step, 0]).reverse();
  while (todo.length) {
    const [step, depth] = todo.pop();
    rows.push([step, depth]);
    for (const child of (children.get(step.id) ?? []).toReversed()) todo.push([child, depth + 1]);
  }
  return rows;
}

/** Return how many seconds each step took, by id: the calls of a trace are in the order of the steps. */
export function secondsOf(steps, traces) {
  // A run that goes on with an earlier one begins with the calls that it has taken over.
  const all = traces.flatMap((trace, index) => [...callsOf(trace.root)].filter((call) => !index || !call.replayed));
  const calls = Map.groupBy(all, (call) => `${call.agent} ${call.name}`);
  const seconds = new Map();
  for (const step of steps) {
    const call = calls.get(`${step.agent} ${step.recipient ?? step.tool}`)?.shift();
    if (call?.ended_at && call.started_at) seconds.set(step.id, call.ended_at - call.started_at);
  }
  return seconds;
}

function* callsOf(node) {
  if (node.type === "tool_call" || node.type === "message") yield node;
  for (const child of node.children ?? []) yield* callsOf(child);
}
