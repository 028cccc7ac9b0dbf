// The words that people read, in the browser's language. Each part of the page has a module of them in words/, with a
// sentence in each of LANGUAGES, in their order.
import app from "./words/app.js";
import chat from "./words/chat.js";
import lists from "./words/lists.js";
import signIn from "./words/sign_in.js";
import swarm from "./words/swarm.js";
import timeline from "./words/timeline.js";

const PARTS = { app, chat, lists, signIn, swarm, timeline };
const LANGUAGES = ["en", "de", "zh"];

export const language =
  navigator.languages.map((each) => each.slice(0, 2).toLowerCase()).find((each) => LANGUAGES.includes(each)) ?? "en";

/** Return the sentence of a key as `chat.send`, with `{name}` replaced by the values. */
export function t(key, values = {}) {
  const [part, name] = key.split(".");
  const text = PARTS[part][name]?.[LANGUAGES.indexOf(language)] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, value) => (value in values ? String(values[value]) : all));
}

/** Return words for an error's code, or undefined. */
export const codeText = (code) => app[`error_${code}`]?.[LANGUAGES.indexOf(language)];
