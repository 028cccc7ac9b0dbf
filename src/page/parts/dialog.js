import { html, useEffect, useId, useRef, useState } from "../preact.js";
import { t } from "../words.js";
import { Problem } from "./load.js";

/** Ask once before something that cannot be undone. onConfirm returns a promise; what it refuses is shown here. */
export function Confirm({ title, text, action, keep, onConfirm, onClose }) {
  const id = useId();
  const dialog = useRef(null);
  const [state, setState] = useState({ isBusy: false, error: null });
  useEffect(() => dialog.current.showModal(), []);
  const confirm = async () => {
    setState({ isBusy: true, error: null });
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setState({ isBusy: false, error });
    }
  };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="${id}-title" aria-describedby="${id}-text">
    <h2 id="${id}-title">${title}</h2>
    <p id="${id}-text">${text}</p>
    ${state.error && html`<${Problem} error=${state.error} />`}
    <div class="actions">
      <button type="button" class="danger" disabled=${state.isBusy} onClick=${confirm}>${action}</button>
      <button type="button" onClick=${() => dialog.current.close()}>${keep ?? t("app.close")}</button>
    </div>
  </dialog>`;
}
