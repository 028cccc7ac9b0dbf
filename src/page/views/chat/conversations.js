// The conversations at the left: found, renamed, deleted, by day.
import * as api from "../../api.js";
import { Confirm } from "../../parts/dialog.js";
import { Problem, useRetry } from "../../parts/load.js";
import { place } from "../../router.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../preact.js";
import { language, t } from "../../words.js";

const PAGE = 50;
const FARTHEST = 20; // pages that a search looks at by itself

/** `current`: the conversation that is shown, as it is now; `onDeleted(id)`, `onRenamed(conversation)`. */
export function Conversations({ current, onDeleted, onRenamed, onChosen, onNew }) {
  const list = useConversations(current);
  const [words, setWords] = useState("");
  const found = list.all.filter((each) => titleOf(each).toLowerCase().includes(words.trim().toLowerCase()));
  useEffect(() => {
    if (words.trim() && !found.length && list.hasMore && !list.isLoading && list.pages < FARTHEST) list.more();
  }, [words, found.length, list.isLoading]);
  useRetry(list.error, list.more);
  const fresh = useRef(null);
  const remove = async (id) => {
    await api.deleteConversation(id);
    list.forget(id);
    onDeleted(id);
    setTimeout(() => fresh.current.focus()); // when the entry, and its dialog, have gone
  };
  const rename = async ({ id, metadata }, title) => {
    const renamed = await api.updateConversation(id, { metadata: { ...metadata, title } });
    list.put(renamed);
    onRenamed(renamed);
  };
  return html`<nav class="conversations" aria-label=${t("chat.conversations")}>
    <a class="button" ref=${fresh} href=${place(["chat"])} onClick=${onNew}>${t("chat.new")}</a>
    <input type="search" aria-label=${t("chat.find")} placeholder=${t("chat.find")} value=${words}
      onInput=${(event) => setWords(event.target.value)} />
    ${list.error && html`<${Problem} error=${list.error} again=${list.more} />`}
    <div class="list">
      ${byDay(found).map(
        ([day, entries]) => html`<section key=${day}>
          <h2>${day}</h2>
          <ul>
            ${entries.map((each) => html`<li key=${each.id}>
              <${Entry} conversation=${each} isCurrent=${each.id === current?.id} ...${{ rename, remove, onChosen }} />
            </li>`)}
          </ul>
        </section>`,
      )}
      ${!found.length && !list.isLoading && !list.error && html`<p class="muted">${t(words ? "chat.noneFound" : "chat.none")}</p>`}
      ${list.hasMore && html`<button class="plain" disabled=${list.isLoading} onClick=${list.more}>${t("app.more")}</button>`}
    </div>
  </nav>`;
}

const titleOf = (conversation) => conversation.metadata?.title || t("chat.untitled");

function useConversations(current) {
  const [state, setState] = useState({ all: [], hasMore: false, after: null, pages: 0, isLoading: true, error: null });
  const load = async (after, before) => {
    setState((each) => ({ ...each, isLoading: true, error: null }));
    try {
      const page = await api.conversations({ limit: PAGE, after });
      const all = [...new Map([...before, ...page.data].map((each) => [each.id, each])).values()];
      setState((each) => ({ ...each, all, hasMore: page.has_more, after: page.last_id, pages: each.pages + 1, isLoading: false }));
    } catch (error) {
      setState((each) => ({ ...each, error, isLoading: false }));
    }
  };
  const put = (conversation) =>
    setState((each) => {
      const isKnown = each.all.some(({ id }) => id === conversation.id);
      const all = isKnown ? each.all.map((one) => (one.id === conversation.id ? conversation : one)) : [conversation, ...each.all];
      return { ...each, all };
    });
  useEffect(() => void load(null, []), []);
  useEffect(() => current && put(current), [current]);
  return {
    ...state,
    more: () => load(state.after, state.all),
    forget: (id) => setState((each) => ({ ...each, all: each.all.filter((one) => one.id !== id) })),
    put,
  };
}

function Entry({ conversation, isCurrent, rename, remove, onChosen }) {
  const [mode, setMode] = useState("link"); // or rename; delete: the dialog is in front of the link
  const [error, setError] = useState(null);
  const link = useRef(null);
  const before = useRef(mode);
  useEffect(() => {
    if (mode === "link" && before.current === "rename") link.current.focus();
    before.current = mode;
  }, [mode]);
  const save = async (name) => {
    try {
      await rename(conversation, name);
      setMode("link");
    } catch (failure) {
      setError(failure);
    }
  };
  if (error) return html`<${Problem} error=${error} again=${() => setError(null)} />`;
  const leave = () => setMode("link");
  if (mode === "rename") return html`<${Rename} ...${{ conversation, save, leave }} />`;
  const title = titleOf(conversation);
  const button = (words, mark, next) => html`<button
    class="plain icon" aria-label=${words} aria-describedby=${conversation.id} title=${words} onClick=${() => setMode(next)}
  >${mark}</button>`;
  return html`<div class="entry">
    <a id=${conversation.id} ref=${link} href=${place(["chat", conversation.id])} title=${title}
      aria-current=${isCurrent ? "page" : undefined} onClick=${onChosen}><bdi>${title}</bdi></a>
    ${button(t("chat.rename"), "✎", "rename")}
    ${button(t("chat.remove"), "×", "delete")}
    ${mode === "delete" && html`<${Confirm} title=${t("chat.deleteAsk", { title })} action=${t("chat.delete")} keep=${t("app.cancel")}
      onConfirm=${() => remove(conversation.id)} onClose=${leave} />`}
  </div>`;
}

function Rename({ conversation, save, leave }) {
  const field = useRef(null);
  useLayoutEffect(() => field.current.focus(), []); // before the next key
  const submit = (event) => {
    event.preventDefault();
    const title = field.current.value.trim();
    if (title) save(title);
  };
  return html`<form class="entry" onSubmit=${submit} onKeyDown=${(event) => event.key === "Escape" && leave()}>
    <input ref=${field} maxlength="200" aria-label=${t("chat.title")} defaultValue=${titleOf(conversation)} />
    <button class="primary small">${t("chat.save")}</button>
  </form>`;
}

const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const weekday = new Intl.DateTimeFormat(language, { weekday: "long" });
const month = new Intl.DateTimeFormat(language, { month: "long", year: "numeric" });

/** Return [words for a day, conversations]: today, yesterday, the days of a week, months. */
function byDay(conversations) {
  return [...Map.groupBy(conversations, (each) => dayWords(new Date(each.created_at * 1000)))];
}

function dayWords(date) {
  const midnight = (each) => new Date(each.getFullYear(), each.getMonth(), each.getDate());
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  if (days < 2) return capital(relative.format(-days, "day"));
  return days < 7 ? weekday.format(date) : month.format(date);
}

const capital = (text) => text[0].toLocaleUpperCase(language) + text.slice(1);
