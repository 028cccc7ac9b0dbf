// Items of a conversation and its runs, as turns: a question, and what was answered. Pure.
import { NOTHING, isOver, requests } from "../../answer.js";
import { isUser, partsOf } from "../../items.js";

/**
 * Return a turn: `question` (parts of the user's content), `answers` (as answer.js makes them), `failure` of the request,
 * `createdAt` (0 where its run is not known any more).
 */
export const newTurn = (key, question, answers = []) => ({ key, question, answers, failure: null, createdAt: 0 });

/** Return the turns of a conversation's items, in order. Each run of `runs` (GET /v1/responses) is an answer. */
export function turnsOf(items, runs) {
  const turns = [];
  for (const item of items) {
    let turn = turns.at(-1);
    if (!turn || (isUser(item) && turn.answers.length)) turns.push((turn = newTurn(item.id, [])));
    if (isUser(item)) turn.question.push(...partsOf(item));
    else if (item.type !== "mcp_approval_response") addItem(turn, item, runOf(item, runs));
  }
  return turns;
}

// The ids of what a run has said hold the run's own.
const runOf = (item, runs) => runs.find((run) => item.id?.includes(run.id.slice("resp_".length)));

function addItem(turn, item, run) {
  const last = turn.answers.at(-1);
  if (last && (!run || last.id === run.id)) last.items.push(item);
  else turn.answers.push(ofRun(run, [item]));
  if (run) turn.createdAt ||= run.created_at;
}

function ofRun(run, items) {
  const known = run && { id: run.id, status: run.status, usage: run.usage, conversation: run.conversation };
  return { ...NOTHING, status: "completed", ...known, items };
}

/** Return the runs of which nothing is in the conversation: they failed, were cancelled, or go on. */
export function runsWithoutItems(runs, turns) {
  const shown = new Set(turns.flatMap((turn) => turn.answers.map((answer) => answer.id)));
  return runs.filter((run) => !shown.has(run.id));
}

/** Return whether an answer, which says only what is asked of a person, is that of a run: such items do not name it. */
const isOf = (answer, { answers }) =>
  !answer.id && answer.items.some(({ id }) => answers.some(({ items }) => items.some((item) => item.id === id)));

/** Return the turns with others among them, by the time of their runs; one without a question goes on with the turn before. */
export function withTurns(turns, others) {
  const all = [...turns];
  for (const other of others.toSorted((one, two) => one.createdAt - two.createdAt)) {
    const place = all.findIndex((turn) => turn.answers.some((answer) => isOf(answer, other)));
    if (place >= 0) {
      const answers = all[place].answers.flatMap((answer) => (isOf(answer, other) ? other.answers : [answer]));
      all[place] = { ...all[place], answers, createdAt: other.createdAt };
      continue;
    }
    const after = all.findLastIndex((turn) => turn.createdAt <= other.createdAt);
    if (other.question.length || after < 0) all.splice(after + 1, 0, other);
    else all[after] = { ...all[after], answers: [...all[after].answers, ...other.answers] };
  }
  return all;
}

/** Return all items of a turn's answers; what was taken up again by a later one is there once, as it became. */
export function itemsOf(answers, shown) {
  const byId = new Map();
  answers.flatMap(shown).forEach((item, index) => item && byId.set(item.id ?? index, item));
  return [...byId.values()];
}

/** Return whether an answer ends by asking a person, so that another run goes on with it after the decision. */
export const isAsking = (answer) => isOver(answer) && answer.status === "completed" && requests(answer).length > 0;
