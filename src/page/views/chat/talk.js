// A conversation while it is shown: its turns, and the run that is at work. What changes is told to `onChange`.
import { NOTHING, isOver, ofResponse, requests, shown, withEvent } from "../../answer.js";
import * as api from "../../api.js";
import { questionOf, textOf } from "../../items.js";
import { go } from "../../router.js";
import { follow, hurry } from "../../stream.js";
import { isAsking, newTurn, runsWithoutItems, turnsOf, withTurns } from "./turns.js";

const PAGE = 100; // items
const OFTEN = 80; // ms between two pictures of an answer that grows
const OTHERS = 10; // runs of which the conversation has nothing: failed, cancelled
const TITLE = 80; // characters
const REPLAY = 700; // ms in which a stream tells what has been: it says nothing about how long that took

export class Talk {
  constructor(id) {
    const [turns, problem] = [[], null];
    this.state = { id, conversation: null, turns, problem, isLoading: id !== null, isBusy: false, isStopping: false, isElsewhere: false };
    this.items = [];
    this.earlierThan = null; // the id of the first item that is loaded, if there are others
    this.closed = new AbortController();
    this.onChange = () => {};
  }

  close() {
    this.closed.abort();
  }

  set(change) {
    this.state = { ...this.state, ...change };
    this.onChange(this.state);
  }

  /** Load the newest part of the conversation, and follow the run that is at work in it. */
  async load() {
    const { id } = this.state;
    this.set({ isLoading: true, problem: null });
    try {
      const [conversation, page] = await Promise.all([
        api.conversation(id),
        api.conversationItems(id, { limit: PAGE, order: "desc" }),
      ]);
      this.items = page.data.reverse();
      this.runs = await runsOf(conversation);
      this.earlierThan = page.has_more ? page.last_id : null;
      const turns = await this.storedTurns();
      if (this.closed.signal.aborted) return;
      this.set({ conversation, turns, isLoading: false });
      await this.goOn();
    } catch (problem) {
      this.set({ problem, isLoading: false });
    }
  }

  async loadEarlier() {
    const query = { limit: PAGE, order: "desc", after: this.earlierThan };
    const page = await api.conversationItems(this.state.id, query).catch((problem) => this.set({ problem }));
    if (!page) return;
    this.items = [...page.data.reverse(), ...this.items];
    this.earlierThan = page.has_more ? page.last_id : null;
    const live = new Map(this.state.turns.filter((turn) => turn.isLive).map((turn) => [turn.key, turn]));
    const stored = (await this.storedTurns()).map((turn) => live.get(turn.key) ?? turn);
    stored.forEach((turn) => live.delete(turn.key));
    this.set({ turns: [...stored, ...live.values()] });
  }

  async storedTurns() {
    const turns = turnsOf(this.items, this.runs);
    const others = runsWithoutItems(this.runs, turns).slice(0, OTHERS);
    return withTurns(turns, await Promise.all(others.map((run) => this.turnOfRun(run))));
  }

  async turnOfRun(run) {
    const [response, input] = await Promise.all([api.response(run.id), api.inputItems(run.id)]);
    const answer = ofResponse({ ...response, output: response.output ?? [] });
    return { ...newTurn(run.id, questionOf(input.data), [answer]), createdAt: run.created_at };
  }

  /** Follow the run that is at work, if there is one: of this tab before it was reloaded, or of another. */
  async goOn() {
    const turn = this.state.turns.findLast((each) => each.answers.some((answer) => !isOver(answer)));
    const last = turn?.answers.findLast((answer) => !isOver(answer));
    if (last) await this.work(turn.key, { id: last.id });
  }

  /** Look for what others have done, as a tab does that is seen again. */
  async refresh() {
    if (this.state.isBusy || this.state.isLoading || !this.state.id) return;
    const { data } = await api.responses({ conversation: this.state.id, limit: 1 }).catch(() => ({ data: [] }));
    const known = this.state.turns.some((turn) => turn.answers.some((answer) => answer.id === data[0]?.id));
    if (data.length && !known && !this.state.isBusy) await this.load();
  }

  /**
   * Ask: `content` has the parts of the question; `onTaken` is called when the service has it. Returns false where the
   * question goes back to who has written it.
   */
  async ask(content, model, onTaken) {
    const turn = { ...newTurn(crypto.randomUUID(), content), isLive: true, model };
    this.wantsStop = false;
    this.set({ turns: [...this.state.turns, turn], isBusy: true, problem: null, isElsewhere: false });
    return this.send(turn, onTaken);
  }

  /** Ask again what has failed; or go on with it, where it may have been taken. */
  async again(turn, model) {
    this.wantsStop = false;
    const last = turn.answers.at(-1);
    if (turn.failure && last?.id && !isOver(last)) return void (await this.work(turn.key, { id: last.id }));
    const key = isUnknown(turn) ? turn.key : crypto.randomUUID();
    const fresh = { ...newTurn(key, turn.question), isLive: true, model: turn.model ?? model };
    this.set({ turns: [...this.state.turns.filter((each) => each.key !== turn.key), fresh], isBusy: true });
    await this.send(fresh);
  }

  async send({ key, question, model }, onTaken) {
    try {
      if (this.state.id === null) await this.begin(question, model);
    } catch (failure) {
      this.change(key, (turn) => ({ ...turn, failure }));
      this.set({ isBusy: false });
      return true;
    }
    const input = [{ type: "message", role: "user", content: question.map(sent) }];
    return this.work(key, { key, onTaken, body: { model, conversation: this.state.id, input, stream: true } });
  }

  async begin(question, model) {
    const words = textOf(question).replace(/\s+/g, " ");
    const title = words.length > TITLE ? `${words.slice(0, TITLE - 1).trimEnd()}…` : words;
    const conversation = await api.createConversation({ metadata: { title, model } });
    this.set({ id: conversation.id, conversation });
    go(["chat", conversation.id], {}, { replace: true });
  }

  /** Follow a run, and those that go on with it behind a person's decision. Returns false if the run was not taken. */
  async work(key, options) {
    this.set({ isBusy: true, isStopping: this.wantsStop ?? false });
    this.running = new AbortController();
    try {
      const heard = new Set();
      for (let next = options; next; ) {
        const answer = await this.hear(key, next);
        heard.add(answer.id);
        next = isAsking(answer) && (await this.continuation(answer, heard));
      }
      return true;
    } catch (failure) {
      if (failure.name === "AbortError") return this.leave(key);
      if (failure.code === "conversation_busy") return this.makeWay(key);
      this.change(key, (turn) => ({ ...turn, failure }));
      return failure.status !== 429 || this.turn(key).answers.some(({ id }) => id);
    } finally {
      this.set({ isBusy: false, isStopping: false });
    }
  }

  /** Return the run that goes on with an answer: it holds the requests of the answer, too, beside new ones. */
  async continuation(answer, heard) {
    for (const { id } of requests(answer).toReversed()) {
      const { continued_by: next } = await this.patiently(() => api.approval(id));
      if (next && !heard.has(next)) return { id: next };
    }
    return null;
  }

  async patiently(request, isWanted = () => true) {
    for (let tries = 0; isWanted(); tries += 1) {
      try {
        return await request();
      } catch (error) {
        if (error.status !== 0 && error.status < 500) throw error;
        if (tries > 20) throw error;
        await new Promise((done) => setTimeout(done, 3000));
      }
    }
    throw new DOMException("", "AbortError");
  }

  /** End a turn whose question may never have reached the service. */
  leave(key) {
    if (this.closed.signal.aborted) return true;
    this.change(key, (turn) => ({ ...turn, failure: new api.ApiError(0) }));
    this.end(key).catch(() => {});
    return true;
  }

  /** If a question that was given up has reached the service after all, cancel its run, and show what there is of it. */
  async end(key) {
    const isGivenUp = () => !this.closed.signal.aborted && this.turn(key)?.failure;
    const { data } = await this.patiently(() => api.responses({ conversation: this.state.id, limit: 1 }), isGivenUp);
    const isKnown = this.state.turns.some((turn) => turn.answers.some(({ id }) => id === data[0]?.id));
    if (!data.length || isKnown) return;
    const { question } = await this.turnOfRun(data[0]);
    if (!isGivenUp() || textOf(question) !== textOf(this.turn(key).question)) return;
    await api.cancelResponse(data[0].id).catch(() => {}); // it may be over
    const { answers } = await this.turnOfRun(data[0]);
    if (isGivenUp()) this.change(key, (turn) => ({ ...turn, answers, failure: null }));
  }

  /** Another tab was faster: show its run, and leave the question to the composer. */
  makeWay(key) {
    this.set({ turns: this.state.turns.filter((turn) => turn.key !== key), isElsewhere: true });
    setTimeout(() => this.load());
    return false;
  }

  /** Follow one run to its end as the last answer of a turn. */
  async hear(key, { onTaken, ...options }) {
    const place = this.placeOf(key, options.id);
    const known = this.turn(key).answers[place]; // of a run that goes on
    let answer = { ...NOTHING, id: options.id ?? null, status: "in_progress", before: known ? shown(known) : null };
    const times = new Map();
    const liveFrom = performance.now() + (options.id ? REPLAY : 0);
    let timer = null;
    const show = () => {
      timer = null;
      this.change(key, (turn) => ({ ...turn, answers: turn.answers.with(place, { ...answer, times }) }));
    };
    this.change(key, (turn) => ({ ...turn, isLive: true, failure: null, answers: put(turn.answers, place, answer) }));
    try {
      for await (const event of follow({ ...options, signal: AbortSignal.any([this.closed.signal, this.running.signal]) })) {
        answer = withEvent(answer, event);
        noteTime(times, event, liveFrom);
        if (answer.id) onTaken?.();
        if (this.wantsStop && answer.id) this.cancel(answer.id);
        timer ??= setTimeout(show, OFTEN);
      }
    } finally {
      clearTimeout(timer);
      if (!this.closed.signal.aborted) show();
    }
    return answer;
  }

  turn(key) {
    return this.state.turns.find((turn) => turn.key === key);
  }

  placeOf(key, id) {
    const { answers } = this.turn(key);
    const place = id ? answers.findIndex((answer) => answer.id === id) : -1;
    return place < 0 ? answers.length : place;
  }

  /** End the run; what it has said stays. */
  stop() {
    const answer = this.state.turns.findLast((turn) => turn.isLive)?.answers.at(-1);
    this.set({ isStopping: true });
    if (answer?.id) this.cancel(answer.id);
    else if (answer?.isLost) this.running.abort();
    else this.wantsStop = true;
  }

  async cancel(id) {
    this.wantsStop = false;
    try {
      await api.cancelResponse(id);
      hurry();
    } catch (problem) {
      this.set({ problem, isStopping: false });
    }
  }

  async decide(id, body) {
    const decided = await api.decide(id, body);
    hurry();
    return decided;
  }

  change(key, change) {
    this.set({ turns: this.state.turns.map((turn) => (turn.key === key ? change(turn) : turn)) });
  }
}

/** Return whether a question was sent of which nobody has said that it was taken, or refused. */
const isUnknown = ({ failure, isLive, model }) => failure && isLive && model && (failure.status === 0 || failure.status >= 500);

/** Return the newest runs of a conversation. One page of the list looks at 500 runs: an old one is looked up by its time. */
async function runsOf({ id, created_at: createdAt }) {
  const newest = await api.responses({ conversation: id, limit: 100 });
  if (newest.data.length || !newest.has_more) return newest.data;
  const first = await api.responses({ conversation: id, limit: 100, order: "asc", created_after: createdAt });
  return first.data.reverse();
}

const put = (answers, place, answer) => (place < answers.length ? answers.with(place, answer) : [...answers, answer]);
/** Return a part as the API takes it, without the page's own notes. */
const sent = ({ _name, _url, ...part }) => part;

function noteTime(times, { type, item }, liveFrom) {
  const now = performance.now();
  if (item?.type !== "reasoning") return;
  if (type === "response.output_item.added" && now > liveFrom) times.set(item.id, { from: now });
  if (type === "response.output_item.done" && times.has(item.id)) times.get(item.id).to ??= now;
}
