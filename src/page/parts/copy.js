import { html, useEffect, useState } from "../preact.js";
import { t } from "../words.js";

/** A button that copies a text, and says for a moment that it did. */
export function CopyButton({ text, label = t("chat.copy") }) {
  const [isDone, setDone] = useState(false);
  useEffect(() => {
    const timer = isDone && setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [isDone]);
  const copy = () => navigator.clipboard.writeText(text).then(() => setDone(true), () => {});
  return html`<button class="plain small" onClick=${copy}>${isDone ? t("chat.copied") : label}</button>`;
}
