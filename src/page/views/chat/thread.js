// The turns of a talk, and what stands in their place before there are any.
import { html, useLayoutEffect, useMemo, useRef, useState } from "../../preact.js";
import { t } from "../../words.js";
import { Turn } from "./turn.js";

const NEAR = 80; // px from the end at which a reader follows what comes

/** `replies`: texts that the agent suggests as the next question; `ask(text)`. */
export function Thread({ talk, state, model, composer, replies, ask }) {
  const { turns, isBusy, isLoading } = state;
  const isAnswered = !isBusy && !turns.at(-1)?.failure && turns.at(-1)?.answers.at(-1)?.status === "completed";
  const { box, isAway, toEnd, scrolled } = useFollowing(turns, state.id);
  const tools = useMemo(
    () => ({
      decide: (id, body) => talk.decide(id, body),
      again: (turn) => {
        composer.current.focus(); // its button goes
        talk.again(turn, model);
      },
    }),
    [talk, model],
  );
  const earlier = async () => {
    const { scrollHeight, scrollTop } = box.current;
    await talk.loadEarlier();
    requestAnimationFrame(() => (box.current.scrollTop = scrollTop + box.current.scrollHeight - scrollHeight));
  };
  return html`
    <section class="thread" ref=${box} onScroll=${scrolled} role="log" aria-live="polite" aria-label=${t("chat.talk")} tabindex="0">
      ${talk.earlierThan && !isLoading && html`<button class="plain" onClick=${earlier}>${t("chat.earlier")}</button>`}
      ${turns.map((turn, index) => {
        const isLast = index === turns.length - 1;
        return html`<${Turn} key=${turn.key} ...${{ turn, isLast, tools }} isBusy=${isBusy && isLast} />`;
      })}
      ${isAnswered && html`<${Suggestions} texts=${replies} ask=${ask} label=${t("chat.replies")} />`}
    </section>
    ${isAway && html`<button class="to-end" aria-label=${t("chat.toEnd")} title=${t("chat.toEnd")} onClick=${toEnd}>↓</button>`}
  `;
}

/** Stay at the end while one is there; a question that was just asked is seen in any case. */
function useFollowing(turns, id) {
  const box = useRef(null);
  const follows = useRef(true);
  const [isAway, setAway] = useState(false);
  const last = turns.at(-1)?.key;
  const toEnd = () => (box.current.scrollTop = box.current.scrollHeight);
  useLayoutEffect(() => {
    follows.current = true;
    toEnd();
  }, [last, id]);
  useLayoutEffect(() => {
    // Markdown is drawn later than its text comes, and images later still.
    const watcher = new ResizeObserver(() => follows.current && toEnd());
    const watchAll = () => [...box.current.children].forEach((child) => watcher.observe(child));
    watchAll();
    return () => watcher.disconnect();
  }, [turns.length]);
  const scrolled = ({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
    follows.current = scrollHeight - scrollTop - clientHeight < NEAR;
    setAway(!follows.current);
  };
  return { box, isAway, toEnd, scrolled };
}

/** A talk before its first question. */
export function Welcome({ starters, name, ask }) {
  return html`<section class="welcome">
    <h2>${t("chat.welcome")}</h2>
    <p class="muted"><bdi>${name}</bdi></p>
    <${Suggestions} texts=${starters} ask=${ask} label=${t("chat.starters")} />
  </section>`;
}

function Suggestions({ texts, ask, label }) {
  if (!texts.length) return null;
  return html`<div class="suggestions" role="group" aria-label=${label}>
    ${texts.map((text) => html`<button key=${text} dir="auto" onClick=${() => ask(text)}>${text}</button>`)}
  </div>`;
}
