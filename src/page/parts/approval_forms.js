// The forms of an approval's card: a reason or an answer, and changed arguments.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../preact.js";
import { t } from "../words.js";
import { problemText } from "./load.js";
import { Fields, fromTexts, isFlat, toTexts } from "./arguments.js";

// The focus moves before the next key is typed: useLayoutEffect, as an effect comes a frame later.

/** One text and what sends it; Ctrl+Enter sends, too, and Escape leaves it. */
export function TextForm({ id, label, submit, onText, error, isBusy, isNeeded, isDanger, hasFocus, back, children }) {
  const field = useRef(null);
  useLayoutEffect(() => {
    if (hasFocus) field.current.focus();
  }, []);
  const onSubmit = (event) => {
    event.preventDefault();
    if (isNeeded && !field.current.value.trim()) return field.current.focus();
    onText(field.current.value);
  };
  return html`<form onSubmit=${onSubmit} onKeyDown=${keys(back)}>
    <div class="field">
      <label for="${id}-text">${label}</label>
      <textarea id="${id}-text" ref=${field} rows="2" maxlength="10000" dir="auto" required=${isNeeded}></textarea>
    </div>
    <${Failure} error=${error} />
    <div class="actions">
      <button class=${isDanger ? "danger" : "primary"} disabled=${isBusy}>${submit}</button>
      ${children}
    </div>
  </form>`;
}

const keys = (back) => (event) => {
  if (event.key === "Escape" && back) back();
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
  else return;
  event.preventDefault();
  event.stopPropagation();
};

export function Change({ id, approval, error, isBusy, send, back }) {
  const given = approval.arguments;
  const [isJson, setJson] = useState(!isFlat(given));
  const [texts, setTexts] = useState(() => (isFlat(given) ? toTexts(given) : {}));
  const [text, setText] = useState(() => (typeof given === "string" ? given : JSON.stringify(given, null, 2)));
  const [problem, setProblem] = useState(null);
  const form = useRef(null);
  useLayoutEffect(() => form.current.querySelector("textarea, input")?.focus(), [isJson]);
  useEffect(() => setProblem(atField(error)), [error]);
  const onSubmit = (event) => {
    event.preventDefault();
    try {
      setProblem(null);
      send({ approve: true, arguments: isJson ? parsed(text) : fromTexts(texts, given) });
    } catch (wrong) {
      setProblem(wrong);
    }
  };
  const asJson = () => {
    setText(JSON.stringify({ ...given, ...quietly(texts, given) }, null, 2));
    setJson(true);
  };
  const isElsewhere = problem && (isJson || !(problem.field in texts));
  return html`<form ref=${form} onSubmit=${onSubmit} onKeyDown=${keys(back)}>
    ${isJson
      ? html`<${JsonField} ...${{ id, text, setText, problem }} />`
      : html`<${Fields} idPrefix=${id} given=${given} texts=${texts} error=${problem}
          change=${(name, value) => setTexts((before) => ({ ...before, [name]: value }))} />`}
    ${isElsewhere && !isJson && html`<p class="field-problem" role="alert">${problem.message}</p>`}
    <div class="actions">
      <button class="primary" disabled=${isBusy}>${t("lists.approveChanged")}</button>
      <button type="button" onClick=${back}>${t("lists.back")}</button>
      ${!isJson && html`<button type="button" class="plain" onClick=${asJson}>${t("lists.asJson")}</button>`}
    </div>
  </form>`;
}

function JsonField({ id, text, setText, problem }) {
  const rows = Math.min(20, text.split("\n").length + 1);
  return html`<div class="field">
    <label for="${id}-json">${t("lists.argumentsJson")}</label>
    <textarea
      id="${id}-json"
      class="code"
      rows=${rows}
      spellcheck="false"
      aria-invalid=${problem ? "true" : undefined}
      aria-describedby=${problem ? `${id}-json-problem` : undefined}
      value=${text}
      onInput=${({ target }) => setText(target.value)}
    ></textarea>
    ${problem && html`<p class="field-problem" id="${id}-json-problem" role="alert">${problem.message}</p>`}
  </div>`;
}

function parsed(text) {
  const value = JSON.parse(text);
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new SyntaxError(t("lists.noObject"));
  return value;
}

function quietly(texts, given) {
  try {
    return fromTexts(texts, given);
  } catch {
    return {};
  }
}

/** Return what the service has said about `arguments.NAME` as the problem of that field. */
function atField(error) {
  if (!error) return null;
  return { message: messageOf(error), field: error.param?.match(/^arguments\.([^.[]+)/)?.[1] };
}

const messageOf = (error) =>
  error.code === "approver_required" ? t("lists.notYours") : problemText(error);

export const Failure = ({ error }) => error && html`<p class="field-problem" role="alert">${messageOf(error)}</p>`;
