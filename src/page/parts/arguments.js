// The arguments of a call: to be read, and to be changed as fields or as JSON. All of it is text of a model.
import { html, useState } from "../preact.js";
import { t } from "../words.js";

const LONGEST = 1_500; // characters of a value that are shown before "Show all"

const isPlain = (value) => value === null || typeof value !== "object";
/** Whether the arguments can be changed as fields: an object of texts, numbers, yes or no. */
export const isFlat = (given) => given !== null && typeof given === "object" && Object.values(given).every(isPlain);

export function Arguments({ value }) {
  if (typeof value === "string") return html`<${LongText} text=${value} isCode />`;
  const entries = Object.entries(value);
  if (!entries.length) return html`<p class="muted">${t("lists.noArguments")}</p>`;
  return html`<dl class="arguments">
    ${entries.map(([name, each]) => html`<dt><bdi>${marked(name)}</bdi></dt><dd><${Value} value=${each} /></dd>`)}
  </dl>`;
}

function Value({ value }) {
  if (typeof value === "string" && value) return html`<${LongText} text=${value} />`;
  return html`<${LongText} text=${JSON.stringify(value, null, 2)} isCode />`;
}

const UNSEEN = /([\p{Cf}\u2028\u2029]|(?![\n\t])\p{Cc})/u; // what turns the direction, or has no width

/** Return a text with marks for what is not seen in it, so that one decides about what is there. */
function marked(text) {
  const sign = (each) => `U+${each.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return text.split(UNSEEN).map((part, index) => (index % 2 ? html`<code class="unseen">${sign(part)}</code>` : part));
}

/** A text of any length: what is left out is said, and shown at a click. */
export function LongText({ text, isCode }) {
  const [isWhole, setWhole] = useState(false);
  const isLong = text.length > LONGEST * 1.2;
  const shown = isLong && !isWhole ? `${text.slice(0, LONGEST)}…` : text;
  return html`
    <div class=${`long${isCode ? " code" : ""}${text.includes("\n") ? " lines" : ""}`} dir="auto">${marked(shown)}</div>
    ${UNSEEN.test(text) && html`<p class="kicker">${t("lists.unseen")}</p>`}
    ${isLong &&
    html`<button class="plain small" aria-expanded=${isWhole} onClick=${() => setWhole(!isWhole)}>
      ${isWhole ? t("lists.showLess") : t("lists.showAll", { count: text.length })}
    </button>`}
  `;
}

/** Return the text of each field of flat arguments; `yes or no` stays what it is. */
export const toTexts = (given) =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [name, toText(value)]));
const toText = (value) => (value === null ? "" : typeof value === "boolean" ? value : String(value));

/** Return the arguments that fields say: of the types that the model's had. Raises SyntaxError with `field`. */
export function fromTexts(texts, given) {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, fromText(name, text, given[name])]));
}

function fromText(name, text, before) {
  if (before === null) return text === "" ? null : text;
  if (typeof before !== "number") return text;
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number)) return number;
  throw Object.assign(new SyntaxError(t("lists.noNumber")), { field: name });
}

export function Fields({ idPrefix, given, texts, change, error }) {
  return html`<div class="fields">
    ${Object.keys(texts).map((name, index) => {
      const problem = error?.field === name ? error.message : null;
      const input = { id: `${idPrefix}-${index}`, value: texts[name], change: (value) => change(name, value), problem };
      return html`<${Field} key=${name} name=${name} before=${given[name]} ...${input} />`;
    })}
  </div>`;
}

function Field({ id, name, before, value, change, problem }) {
  const invalid = problem ? { "aria-invalid": "true", "aria-describedby": `${id}-problem` } : {};
  const typed = { id, name, ...invalid, onInput: ({ target }) => change(target.value) };
  const rows = Math.min(12, Math.max(1, Math.ceil(String(value).length / 60), String(value).split("\n").length));
  return html`<div class="field">
    <label for=${id}><bdi>${name}</bdi></label>
    ${typeof before === "boolean"
      ? html`<input id=${id} type="checkbox" checked=${value} onChange=${({ target }) => change(target.checked)} />`
      : typeof before === "number"
        ? html`<input ...${typed} inputmode="decimal" value=${value} />`
        : html`<textarea ...${typed} rows=${rows} dir="auto" value=${value}></textarea>`}
    ${problem && html`<p class="field-problem" id="${id}-problem" role="alert">${problem}</p>`}
  </div>`;
}
