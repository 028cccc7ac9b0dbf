// What is written to the agents: the text, files, and whom it is for.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../preact.js";
import { tabStorage } from "../../storage.js";
import { t } from "../../words.js";
import { LARGEST, refusal, stored } from "./attachments.js";

const HIGHEST = 260; // px of the text field
const draftOf = (id) => `draft ${id ?? "new"}`;

/** `control`: gets `fill(text)`, `focus()` and `addFiles(files)`. `onSend(parts, onTaken)` returns false where the text goes back into the field. */
export function Composer({ id, model, agencies, onModel, isBusy, isStopping, onSend, onStop, control }) {
  const [text, setText, emptyField] = useDraft(id);
  const files = useFiles();
  const field = useRef(null);
  useLayoutEffect(() => grow(field.current), [text]);
  control.current = { fill: setText, focus: () => field.current.focus(), addFiles: files.add };
  const canSend = !isBusy && !files.isBusy && (text.trim() || files.ready.length > 0);
  const send = async () => {
    if (!canSend) return;
    const parts = [...(text.trim() ? [{ type: "input_text", text: text.trim() }] : []), ...files.ready];
    const attached = files.all;
    const forget = emptyField();
    files.clear();
    field.current.focus();
    if (await onSend(parts, forget)) return;
    if (!field.current?.value) setText(text);
    files.restore(attached);
  };
  const key = (event) => {
    if (event.key === "Escape" && isBusy) onStop();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send();
  };
  const paste = (event) => event.clipboardData.files.length && (event.preventDefault(), files.add(event.clipboardData.files));
  const submit = (event) => (event.preventDefault(), send());
  return html`<form class="composer" onSubmit=${submit}>
    <${Attached} files=${files} />
    <textarea
      ref=${field} rows="1" dir="auto" aria-label=${t("chat.message")} placeholder=${t("chat.placeholder")}
      title=${t("chat.allKeys")} value=${text} onInput=${(event) => setText(event.target.value)} onKeyDown=${key} onPaste=${paste}
    ></textarea>
    <div class="tools">
      <${Attach} add=${files.add} />
      <${Whom} ...${{ agencies, model, onModel }} />
      <span class="keys muted" aria-hidden="true">${t("chat.keys")}</span>
      ${
        isBusy
          ? html`<button type="button" disabled=${isStopping} onClick=${onStop}>${t(isStopping ? "chat.stopping" : "chat.stop")}</button>`
          : html`<button class="primary" disabled=${!canSend}>${t("chat.send")}</button>`
      }
    </div>
  </form>`;
}

function grow(field) {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, HIGHEST)}px`;
}

/** Text that was typed and not sent is there again after a reload. */
function useDraft(id) {
  const [text, setText] = useState(() => tabStorage.get(draftOf(id)) ?? "");
  const before = useRef(id);
  useEffect(() => {
    if (before.current === id) return;
    const isSameTalk = before.current === null && id !== null && tabStorage.get(draftOf(id)) === null && text === "";
    before.current = id;
    if (!isSameTalk) setText(tabStorage.get(draftOf(id)) ?? "");
  }, [id]);
  const change = (value) => {
    setText(value);
    tabStorage.set(draftOf(id), value);
  };
  /** Empty the field; what was typed is kept until the service has it, and forgotten by what this returns. */
  const empty = () => {
    const [place, typed] = [draftOf(id), text];
    setText("");
    return () => tabStorage.get(place) === typed && tabStorage.set(place, "");
  };
  return [text, change, empty];
}

/** The files of the next question: `add`, `remove`, `clear`, `all`, those that are `ready` as parts, `isBusy`. */
function useFiles() {
  const [all, setAll] = useState([]);
  const current = useRef(all);
  const set = (change) => setAll((current.current = change(current.current)));
  const change = (key, change) => set((files) => files.map((each) => (each.key === key ? { ...each, ...change } : each)));
  const addOne = async (file) => {
    const key = crypto.randomUUID();
    set((files) => [...files, { key, name: file.name, size: file.size, part: null, problem: null }]);
    try {
      const others = current.current.filter((each) => each.key !== key && !each.problem && each.size <= LARGEST);
      const refused = await refusal(file, others);
      change(key, refused ? { problem: t(refused) } : { part: await stored(file) });
    } catch (error) {
      change(key, { problem: error.status === 0 ? t("app.offline") : error.message });
    }
  };
  return {
    all,
    add: (files) => [...files].forEach(addOne),
    remove: (key) => set((files) => files.filter((each) => each.key !== key)),
    clear: () => set(() => []),
    restore: (before) => set((files) => [...before, ...files]),
    ready: all.filter((each) => each.part).map((each) => each.part),
    isBusy: all.some((each) => !each.part && !each.problem),
  };
}

function Attached({ files }) {
  if (!files.all.length) return null;
  return html`<ul class="files" aria-label=${t("chat.files")}>
    ${files.all.map(
      ({ key, name, part, problem }) => html`<li key=${key} class="file-chip" data-problem=${Boolean(problem)}>
        ${part?._url && html`<img src=${part._url} alt="" />`}
        <bdi>${name}</bdi>
        <span class="muted" role=${problem ? "alert" : "status"}>${problem ?? (part ? "" : t("chat.uploading"))}</span>
        <button type="button" class="plain small" aria-label=${t("chat.removeFile", { name })} onClick=${() => files.remove(key)}>×</button>
      </li>`,
    )}
  </ul>`;
}

function Attach({ add }) {
  const input = useRef(null);
  const chosen = (event) => {
    add(event.target.files);
    event.target.value = "";
  };
  return html`
    <button type="button" class="plain icon" title=${t("chat.attach")} aria-label=${t("chat.attach")}
      onClick=${() => input.current.click()}>+</button>
    <input ref=${input} type="file" multiple hidden onChange=${chosen} />
  `;
}

function Whom({ agencies, model, onModel }) {
  const agents = (agency) => (agency.agents.length > 1 ? agency.agents.map((agent) => agent.name) : []);
  return html`<select aria-label=${t("chat.whom")} value=${model} onChange=${(event) => onModel(event.target.value)}>
    ${agencies.map(
      (agency) => html`<optgroup key=${agency.name} label=${agency.name}>
        <option value=${agency.name} selected=${model === agency.name}>${agency.name}</option>
        ${agents(agency).map((agent) => {
          const value = `${agency.name}/${agent}`;
          return html`<option key=${value} value=${value} selected=${model === value}>${agent}</option>`;
        })}
      </optgroup>`,
    )}
  </select>`;
}
