import { html, useId, useLayoutEffect, useRef, useState } from "../preact.js";
import { Problem } from "./load.js";

/** Ask once before something that cannot be undone. onConfirm returns a promise, whose error is shown. keep: the button that leaves. */
export function Confirm({ title, text, action, keep, onConfirm, onClose }) {
  const id = useId();
  const dialog = useRef(null);
  const [state, setState] = useState({ isBusy: false, error: null });
  useLayoutEffect(() => dialog.current.showModal(), []); // before the next key
  const confirm = async () => {
    setState({ isBusy: true, error: null });
    try {
      await onConfirm();
      dialog.current?.close(); // the focus goes back to where it was
    } catch (error) {
      setState({ isBusy: false, error });
    }
  };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="${id}-title" aria-describedby=${text && `${id}-text`}>
    <h2 id="${id}-title">${title}</h2>
    ${text && html`<p id="${id}-text">${text}</p>`}
    ${state.error && html`<${Problem} error=${state.error} />`}
    <div class="actions">
      <button type="button" class="danger" disabled=${state.isBusy} onClick=${confirm}>${action}</button>
      <button type="button" autofocus onClick=${() => dialog.current.close()}>${keep}</button>
    </div>
  </dialog>`;
}
