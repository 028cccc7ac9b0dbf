// The chat: conversations at the left, the talk, and the agency at work at the right.
import { NOTHING, requests, shown } from "../answer.js";
import { Loading, Problem, useRetry } from "../parts/load.js";
import { Swarm } from "../parts/swarm/swarm.js";
import { go, place } from "../router.js";
import { html, useEffect, useRef, useState } from "../preact.js";
import { onOtherOwner } from "../session.js";
import { t } from "../words.js";
import { Composer } from "./chat/composer.js";
import { Conversations } from "./chat/conversations.js";
import { Talk } from "./chat/talk.js";
import { Thread, Welcome } from "./chat/thread.js";
import { itemsOf } from "./chat/turns.js";

export function Chat({ steps, query, agencies, approvals }) {
  const id = steps[1] ?? null;
  const [talk, state] = useTalk(id);
  const [model, setModel] = useModel(agencies, query.get("model"), state.conversation?.metadata?.model);
  const [drawer, setDrawer] = useState(null); // conversations, swarm
  const composer = useRef({});
  const isGone = state.problem?.status === 404 && !state.turns.length;
  const isLost = state.isBusy && Boolean(state.turns.at(-1)?.answers.at(-1)?.isLost);
  const addressed = addressedBy(agencies, model);
  const stop = () => {
    talk.stop();
    composer.current.focus();
  };
  useShortcuts(composer, () => setDrawer(null));
  useRetry(state.problem, () => talk.load());
  const asked = requests({ items: state.turns.at(-1)?.answers.at(-1)?.items ?? [] }).length;
  useEffect(() => void (asked && approvals.reload()), [asked]);
  if (!agencies.length) return html`<p class="loading">${t("chat.noAgency")}</p>`;
  const ask = (parts, onTaken) => talk.ask(parts, model, onTaken);
  const askText = (text) => ask([{ type: "input_text", text }]) && composer.current.focus();
  const begin = () => {
    setDrawer(null);
    setTimeout(() => composer.current.focus?.()); // behind the frame, which moves the focus with the address
  };
  const drop = (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    composer.current.addFiles(event.dataTransfer.files);
  };
  return html`<div class="chat" data-drawer=${drawer} onDrop=${drop} onDragOver=${(event) => event.preventDefault()}>
    <${Conversations}
      current=${state.conversation} onChosen=${() => setDrawer(null)} onNew=${begin}
      onDeleted=${(gone) => gone === state.id && go(["chat"])}
      onRenamed=${(conversation) => conversation.id === talk.state.id && talk.set({ conversation })}
    />
    <div class="talk">
      <${Head} title=${state.conversation?.metadata?.title} ...${{ drawer, setDrawer }} />
      ${state.isElsewhere && html`<p class="note notice" role="status">${t("chat.busy")}</p>`}
      ${isGone && html`<div class="empty">
        <h2>${t("app.notFoundTitle")}</h2>
        <a class="button" href=${place(["chat"])}>${t("chat.new")}</a>
      </div>`}
      ${state.problem && !isGone && html`<${Problem} error=${state.problem} again=${() => talk.load()} />`}
      ${state.isLoading && !state.turns.length && html`<${Loading} />`}
      ${
        !isGone &&
        (state.turns.length || state.isLoading || state.problem
          ? html`<${Thread} ...${{ talk, state, model, composer }} replies=${addressed.agent?.quick_replies ?? []} ask=${askText} />`
          : html`<${Welcome} starters=${addressed.agent?.conversation_starters ?? []} name=${model} ask=${askText} />`)
      }
      ${!isGone && html`<${Composer}
        id=${state.id} control=${composer} ...${{ agencies, model }} onModel=${setModel}
        isBusy=${state.isBusy} isStopping=${state.isStopping} onSend=${ask} onStop=${stop}
      />`}
    </div>
    <aside class="at-work" data-lost=${isLost} aria-label=${t("chat.atWork")}>
      <${Swarm} agency=${addressed.agency} addressed=${addressed.agent?.name} ...${atWork(state)} />
    </aside>
  </div>`;
}

function Head({ title, drawer, setDrawer }) {
  const toggle = (name) => () => setDrawer(drawer === name ? null : name);
  return html`<header class="talk-head">
    <button class="plain to-conversations" aria-expanded=${drawer === "conversations"} onClick=${toggle("conversations")}>
      ${t("chat.conversations")}
    </button>
    <h1 dir="auto" tabindex="-1">${title ?? t("chat.new")}</h1>
    <button class="plain to-swarm" aria-expanded=${drawer === "swarm"} onClick=${toggle("swarm")}>${t("app.swarm")}</button>
  </header>`;
}

/** Return the talk of an id, and its state. A new talk stays the same when its conversation is made. */
function useTalk(id) {
  const held = useRef(null);
  const [, draw] = useState(0);
  if (held.current?.state.id !== id || !held.current) {
    held.current?.close();
    held.current = new Talk(id);
  }
  const talk = held.current;
  useEffect(() => {
    talk.onChange = () => draw((turn) => turn + 1);
    if (talk.state.id !== null && talk.state.isLoading) talk.load();
    const seen = () => document.visibilityState === "visible" && talk.refresh();
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  }, [talk]);
  useEffect(() => () => held.current.close(), []);
  return [talk, talk.state];
}

let lastModel = null; // chosen in this page
onOtherOwner(() => (lastModel = null));

function useModel(agencies, asked, kept) {
  const [chosen, setChosen] = useState(null);
  useEffect(() => setChosen(null), [asked, kept]);
  const known = (model) => agencies.some(({ name, agents = [] }) => name === model || agents.some((each) => `${name}/${each.name}` === model));
  const model = [chosen, asked, kept, lastModel].find(known) ?? agencies[0]?.name;
  const choose = (value) => setChosen((lastModel = value));
  return [model, choose];
}

/** Return the agency and the agent that a model's name addresses. */
function addressedBy(agencies, model) {
  const [name, agentName] = model?.split("/") ?? [];
  const agency = agencies.find((each) => each.name === name);
  const agents = agency?.agents ?? [];
  return { agency, agent: agents.find((each) => each.name === (agentName ?? agency.entry_points?.[0])) ?? agents[0] };
}

/** Return what the swarm shows: the last turn. */
function atWork({ turns, isBusy }) {
  const { answers = [], failure } = turns.at(-1) ?? {};
  const last = answers.at(-1) ?? NOTHING;
  const status = failure ? (failure.status ? "failed" : "cancelled") : last.status;
  return { answer: { ...last, status, items: itemsOf(answers, shown) }, traceOf: isBusy ? null : last.id };
}

function useShortcuts(composer, close) {
  useEffect(() => {
    const key = (event) => {
      const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        composer.current.focus?.();
      }
      if (event.key !== "Escape" || event.defaultPrevented || isTyping) return;
      close();
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);
}
