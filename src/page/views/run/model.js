// A trace as lanes of bars. Pure. Times are Unix seconds.

import { isUnfinished } from "../../answer.js";
import { HANDOFF } from "../../items.js";
import { union } from "./axis.js";

/**
 * Return `{lanes, bars, waits, messages, marks, start, end}` of a trace; `now` ends what goes on.
 *
 * A lane is an agent, within one run: `{key, name, depth, runId, parent, rows, seconds, usd}`; `parent` is the lane that
 * led to it, `seconds` and `usd` are those of its bars that were not replayed. A bar is a model call or a tool call, in a
 * row of its lane. A wait is a time in which a lane waits: for a worker (`queue`), a person, or its colleagues. A message
 * leads from a lane to another. A mark is the beginning of an attempt, or a handover to another agent.
 */
export function timelineOf(trace, now) {
  const isOpen = isUnfinished(trace) || asking(trace).length > 0;
  const end = isUnfinished(trace) ? Math.max(now, trace.created_at) : (trace.completed_at ?? null);
  const made = { lanes: [], bars: [], waits: [], messages: [], marks: [], now: isOpen ? now : null, trace };
  const place = { lane: null, run: { id: trace.response_id, depth: 0 }, at: trace.root?.started_at ?? trace.created_at };
  if (trace.root) agent(made, trace.root, place, "0");
  beginning(made, trace);
  const times = [...made.bars, ...made.waits].flatMap(({ from, to }) => [from, to]);
  made.start = Math.min(trace.root?.started_at ?? trace.created_at, ...times);
  made.end = Math.max(made.start + 0.001, made.now ?? trace.root?.ended_at ?? end ?? 0, ...times);
  made.marks.push(...attempts(made));
  pack(made);
  for (const lane of made.lanes) Object.assign(lane, spentIn(made.bars.filter((bar) => bar.lane === lane && !bar.node.replayed)));
  made.lanes = ordered(made.lanes);
  return made;
}

function spentIn(bars) {
  const prices = bars.filter((bar) => bar.kind === "model_call").map((bar) => bar.node.usd);
  return {
    seconds: union(bars.map(({ from, to }) => [from, to])).reduce((sum, [from, to]) => sum + to - from, 0),
    usd: prices.includes(null) ? null : prices.reduce((sum, usd) => sum + usd, 0),
  };
}

/** Before its first call a run has waited for a worker; `created_at` is in whole seconds. */
function beginning(made, { created_at: from, root }) {
  const to = root?.started_at ?? made.now;
  if (made.lanes.length && to - from > 1.5) made.waits.push({ kind: "queue", lane: made.lanes[0], from, to });
}

function laneOf(made, name, place) {
  const key = `${place.run.id} ${name}`;
  let lane = made.lanes.find((each) => each.key === key);
  if (!lane) {
    const depth = place.lane ? place.lane.depth + 1 : place.run.depth;
    lane = { key, name, depth, runId: place.run.id, parent: place.lane };
    made.lanes.push(lane);
  }
  return lane;
}

/** Return the lanes depth first: each one directly above those that it led to. */
function ordered(lanes) {
  const below = (parent) => lanes.filter((lane) => lane.parent === parent).flatMap((lane) => [lane, ...below(lane)]);
  return below(null);
}

function agent(made, node, place, id) {
  const name = node.name ?? made.trace.model;
  const lane = laneOf(made, name, place);
  const to = ending(made, node);
  let at = node.started_at ?? place.at;
  if (node.started_at) made.waits.push({ kind: "agents", lane, from: node.started_at, to: Math.max(to, node.started_at) });
  (node.children ?? []).forEach((child, index) => {
    at = step(made, child, { ...place, lane, at }, `${id}.${index}`);
  });
  return Math.max(at, to);
}

const ending = (made, node) => node.ended_at ?? (node.status === "in_progress" ? made.now : null) ?? node.started_at ?? 0;

/** Add a child of an agent; return when the next one can begin. */
function step(made, node, place, id) {
  if (node.type === "message") return message(made, node, place, id);
  if (node.type === "agent") return made.isHandedOver ? successor(made, node, place, id) : agent(made, node, place, id);
  const from = node.started_at ?? null;
  const to = from === null ? null : Math.max(from, ending(made, node));
  if (from !== null) made.bars.push({ id, kind: node.type, lane: place.lane, from, to, node });
  persons(made, node, place, id, from);
  let at = to ?? place.at;
  (node.children ?? []).forEach((child, index) => {
    at = step(made, child, { ...place, at: from ?? place.at }, `${id}.${index}`);
  });
  return Math.max(at, place.at);
}

/** An agent that took over stands beside the one that had the word. */
function successor(made, node, place, id) {
  made.isHandedOver = false;
  const at = node.started_at ?? place.at;
  made.marks.push({ kind: "handover", at, name: node.name, runId: place.run.depth ? place.run.id : null });
  return agent(made, node, { ...place, lane: place.lane.parent, at }, id);
}

/** A call that asked a person waits until the decision. */
function persons(made, node, place, id, from) {
  for (const approval of node.approvals ?? []) {
    const asked = Math.max(approval.asked_at ?? place.at, place.at);
    const end = approval.decided_at ?? (approval.status === "pending" ? (made.now ?? asked) : (from ?? asked));
    made.waits.push({ id: `${id}?`, kind: "person", lane: place.lane, from: asked, to: Math.max(end, asked), node, approval });
  }
}

function message(made, node, place, id) {
  const [child] = node.children ?? [];
  if (!child && node.name?.startsWith(HANDOFF)) {
    made.isHandedOver = true;
    return place.at;
  }
  const run = node.run ? { id: node.run.response_id, depth: place.lane.depth + 1 } : place.run;
  const from = node.run?.queued_at ?? node.started_at ?? place.at;
  const to = Math.max(from, node.ended_at ?? node.run?.ended_at ?? ending(made, node), child ? 0 : from);
  const lane = laneOf(made, child?.name ?? node.name, { ...place, run });
  if (node.run?.queued_at) {
    const until = child?.started_at ?? node.run.ended_at ?? made.now ?? from;
    made.waits.push({ kind: "queue", lane, from, to: Math.max(from, until) });
  }
  made.messages.push({ id, from: place.lane, to: lane, at: from, back: node.status === "completed" ? to : null, node });
  if (child) agent(made, child, { ...place, lane: place.lane, run, at: from }, `${id}.0`);
  return Math.max(place.at, node.run ? place.at : to);
}

/** Return a mark where each attempt but the first began: of the whole run, or of the lanes of a child run. */
function attempts(made) {
  const first = new Map();
  for (const { lane, from, node } of made.bars) {
    const key = `${lane.runId} ${node.attempt}`;
    if ((node.attempt ?? 1) > 1 && from < (first.get(key)?.at ?? Infinity)) {
      const isRoot = lane.runId === made.trace.response_id;
      const isAsked = made.waits.some((wait) => wait.kind === "person" && wait.lane.runId === lane.runId && wait.to <= from);
      first.set(key, { kind: "attempt", at: from, number: node.attempt, isAsked, runId: isRoot ? null : lane.runId });
    }
  }
  return [...first.values()];
}

/** Give each bar a row of its lane in which no other bar is at that time. */
function pack(made) {
  const ends = new Map();
  for (const bar of [...made.bars, ...made.waits.filter((wait) => wait.kind === "person")].sort((one, other) => one.from - other.from)) {
    const rows = ends.get(bar.lane) ?? [];
    const free = rows.findIndex((end) => end <= bar.from + 1e-6);
    bar.row = free < 0 ? rows.length : free;
    rows[bar.row] = bar.to;
    ends.set(bar.lane, rows);
  }
  for (const lane of made.lanes) lane.rows = Math.max(1, ends.get(lane)?.length ?? 0);
}

/** Return what a person has not decided yet: `{node, approval}`. */
export const asking = (trace) =>
  listed(trace?.root).flatMap(({ node }) =>
    (node.approvals ?? []).filter(({ status }) => status === "pending").map((approval) => ({ node, approval })),
  );

/** Return a trace that is over with an end for what was at work then: the run's own. */
export function closed(trace) {
  const close = (node) => {
    const children = (node.children ?? []).map(close);
    const isCut = node.started_at && node.started_at < trace.ended_at && !node.ended_at && (node.attempt ?? Infinity) >= trace.attempts;
    if (!isCut && children.every((child, index) => child === node.children[index])) return node;
    const ends = isCut ? [trace.ended_at] : [node.ended_at, ...children.map((child) => child.ended_at)];
    const status = isCut && trace.status === "failed" && node.type === "model_call" ? "failed" : node.status;
    return { ...node, status, children, ended_at: Math.max(...ends) };
  };
  return trace?.root && trace.ended_at ? { ...trace, root: close(trace.root) } : trace;
}

/** Return the trace's nodes as a list with their depth: `{id, depth, node}`. */
export function listed(node, depth = 0, id = "0") {
  if (!node) return [];
  const below = (node.children ?? []).flatMap((child, index) => listed(child, depth + 1, `${id}.${index}`));
  return [{ id, depth, node }, ...below];
}
