import { onSession } from "../session.js";
import { html, useCallback, useEffect, useState } from "../preact.js";
import { t } from "../words.js";

/**
 * Return what a request has answered: `{value, error, isLoading, reload}`. Asked anew when `inputs` change, and every
 * `every` milliseconds while the page is seen; an answer that comes too late is dropped.
 */
export function useLoaded(load, inputs, { every } = {}) {
  const [state, setState] = useState({ value: undefined, error: null, isLoading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let isCurrent = true;
    setState((before) => ({ ...before, isLoading: true }));
    load().then(
      (value) => isCurrent && setState({ value, error: null, isLoading: false }),
      (error) => isCurrent && setState((before) => ({ ...before, error, isLoading: false })),
    );
    return () => (isCurrent = false);
  }, [...inputs, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => onSession((isBack) => isBack && reload()), []);
  useEffect(() => {
    if (!every) return;
    const ask = () => document.visibilityState === "visible" && reload();
    const timer = setInterval(ask, every);
    document.addEventListener("visibilitychange", ask);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [every]);
  return { ...state, reload };
}

/** What went wrong, and a button to try again. */
export function Problem({ error, again }) {
  const text = error.status === 0 ? t("app.offline") : t("app.failed", { message: error.message });
  return html`<div class="problem" role="alert">
    <span>${text}</span>
    ${again && html`<button type="button" onClick=${again}>${t("app.again")}</button>`}
  </div>`;
}

export const Loading = () => html`<p class="loading" role="status">${t("app.loading")}</p>`;
