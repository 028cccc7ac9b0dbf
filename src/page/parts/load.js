import { onSession } from "../session.js";
import { CopyButton } from "./copy.js";
import { html, useCallback, useEffect, useRef, useState } from "../preact.js";
import { codeText, language, t } from "../words.js";

/**
 * Return what a request has answered: `{value, error, isLoading, reload}`. Asked anew when `inputs` change, and `every`
 * so many milliseconds after an answer while the page is seen; an answer to what was asked before is dropped.
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
    if (!every || state.isLoading) return;
    const ask = () => document.visibilityState === "visible" && reload();
    const timer = setInterval(ask, every);
    document.addEventListener("visibilitychange", ask);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [every, state.isLoading]);
  return { ...state, reload };
}

const AGAIN = 5000; // ms between two tries to reach the service

/** Ask again for as long as an error says that the service cannot be reached, and at once when there is a network. */
export function useRetry(error, again) {
  const isLost = error?.status === 0;
  const asks = useRef(again);
  asks.current = again;
  useEffect(() => {
    if (!isLost) return;
    const ask = () => asks.current();
    const timer = setInterval(ask, AGAIN);
    addEventListener("online", ask);
    return () => {
      clearInterval(timer);
      removeEventListener("online", ask);
    };
  }, [isLost]);
}

/** Return what went wrong: as the service says it in English, else in words for its code where there are some. */
export function problemText({ status, code, message }) {
  if (status === 0) return t("app.offline");
  return t("app.failed", { message: (language === "en" ? message : codeText(code)) ?? message ?? "" });
}

/** The id that finds in the service's log what has gone wrong. */
export const LogId = ({ id }) =>
  id ? html`<span class="log-id"><code>${id}</code><${CopyButton} text=${id} /></span>` : null;

/** What went wrong, and a button to try again. */
export function Problem({ error, again }) {
  return html`<div class="problem" role="alert">
    <span>${problemText(error)}</span>
    ${error.status >= 500 && html`<${LogId} id=${error.requestId} />`}
    ${again && html`<button type="button" onClick=${again}>${t("app.again")}</button>`}
  </div>`;
}

export const Loading = () => html`<p class="loading" role="status">${t("app.loading")}</p>`;
