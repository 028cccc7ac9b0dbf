import { NOTHING, messages, withEvent } from "../answer.js";
import { follow } from "../stream.js";
import { html, useRef, useState } from "../vendor/preact.js";
import { t } from "../words.js";

export function Chat({ agencies }) {
  const [answer, setAnswer] = useState(NOTHING);
  const run = useRef(null);
  const ask = async (event) => {
    event.preventDefault();
    const input = new FormData(event.target).get("message");
    run.current = new AbortController();
    const body = { model: agencies[0].name, input, stream: true };
    for await (const each of follow({ body, signal: run.current.signal })) setAnswer((before) => withEvent(before, each));
  };
  return html`
    <h1>${t("chat.welcome")}</h1>
    <div aria-live="polite">${messages(answer).map((each) => html`<p>${each.content?.map((part) => part.text)}</p>`)}</div>
    <form onSubmit=${ask}>
      <textarea name="message" aria-label=${t("chat.message")}></textarea>
      <button>${t("chat.send")}</button>
    </form>
  `;
}
