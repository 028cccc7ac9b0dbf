// How this page is signed in. What the server has said of itself is in a <meta> of index.html.

/** auth (none, keys, jwt, iam), version; for jwt also issuer, client_id and scope. */
export const settings = JSON.parse(document.querySelector("meta[name=agency-lambda]").content);

const STORED = "agency-lambda.key";
const listeners = new Set();
let key = localStorage.getItem(STORED);

export const isSignedIn = () => settings.auth === "none" || key !== null;
export const authorization = () => (key === null ? {} : { authorization: `Bearer ${key}` });

/** Keep a key or a token: in memory, or in the browser until one signs out. */
export function signIn(value, { remember = false } = {}) {
  key = value;
  if (remember) localStorage.setItem(STORED, value);
  listeners.forEach((listener) => listener());
}

/** Forget the key everywhere; also called when the service refuses it. */
export function signOut() {
  key = null;
  localStorage.removeItem(STORED);
  listeners.forEach((listener) => listener());
}

/** Call the listener at every change; return what ends that. */
export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
