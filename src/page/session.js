// How this page is signed in. What the server has said of itself is in a <meta> of index.html.
import { browserStorage, tabStorage } from "./storage.js";

/** auth (none, keys, jwt, iam), version; for jwt also issuer, audience, client_id, scope and the issuer's endpoints. */
export const settings = JSON.parse(document.querySelector("meta[name=agency-lambda]").content);
/** Whether people sign in at the issuer. Without a client there, they paste a token. */
export const hasIssuer = settings.auth === "jwt" && Boolean(settings.client_id);

// A key outlives the tab if one has asked for it; what the issuer gave is kept while the tab is open, so that it can be
// loaded again.
const STORED = "key";
const storage = settings.auth === "keys" ? browserStorage : tabStorage;
const SOON = 60_000; // ms before its end that a token is renewed; sooner, where it has few minutes
const LEAST = 5000; // ms, at least, between two renewals
const LONGEST = 2 ** 31 - 1; // ms that a timer takes

const listeners = new Set();
let session = settings.auth === "none" ? {} : read(); // {token, owner, expires, refresh}, or null
let lastOwner = session?.owner ?? tabStorage.get("owner") ?? undefined; // kept after a 401, to recognise the same person
let renewing = null;
let timer;
let wasRefused = false;

export const isSignedIn = () => session !== null;
/** Whether the service has refused what one was signed in with, so that the page is there but needs a new one. */
export const isExpired = () => session === null && wasRefused;
export const authorization = () => (session?.token ? { authorization: `Bearer ${session.token}` } : {});

/** Whose the page is. What is on it is for nobody else: another owner gets a page of their own. */
export const owner = () => lastOwner;

/**
 * Sign in with a key or a token of an owner, or with what the issuer gave: `expires` is in Unix seconds. Another owner
 * than before finds nothing of what was typed and kept.
 */
export function signIn(token, owner, { remember = false, expires, refresh } = {}) {
  const isSame = owner === lastOwner;
  const isBack = isExpired() && isSame;
  wasRefused = false;
  if (!isSame && lastOwner !== undefined) {
    tabStorage.clear();
    location.hash = ""; // which names what another owner has
  }
  lastOwner = owner;
  tabStorage.set("owner", owner);
  change({ token, owner, expires, refresh }, isBack);
  if (remember) write(session);
}

/** Forget the key or the token everywhere, and what was typed. */
export function signOut() {
  wasRefused = false;
  tabStorage.clear();
  lastOwner = undefined;
  forget();
}

/** The service has refused these headers of `authorization`. What is on the page stays until one has signed in again. */
export function expire(refused) {
  if (session === null || isNewer(refused)) return;
  wasRefused = true;
  forget();
}

/** Return whether there is a newer token than in these headers; the issuer may give one without asking anybody. */
export async function isRenewed(refused) {
  return isNewer(refused) || renew();
}

const isNewer = (headers) => session !== null && headers.authorization !== authorization().authorization;

function renew() {
  if (!hasIssuer || !session?.refresh) return Promise.resolve(false);
  renewing ??= import("./openid.js")
    .then(({ refreshed }) => refreshed(session.refresh))
    .then(({ token, owner: same, ...more }) => signIn(token, same, { remember: true, ...more }))
    .then(() => true, () => false)
    .finally(() => (renewing = null));
  return renewing;
}

/** Keep something in memory for as long as the owner is the same: `forget` is called before there is another. */
export function onOtherOwner(forget) {
  let before = lastOwner;
  onSession(() => {
    if (before !== undefined && before !== lastOwner) forget();
    before = lastOwner;
  });
}

/** Call the listener at every change, with whether one is back after `isExpired`; return what ends that. */
export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function change(next, isBack = false) {
  session = next;
  renewInTime();
  listeners.forEach((listener) => listener(isBack));
}

function forget() {
  write(null);
  if (session !== null) change(null);
}

function renewInTime() {
  clearTimeout(timer);
  if (!session?.refresh || !session.expires) return;
  const left = 1000 * session.expires - Date.now();
  timer = setTimeout(renew, Math.min(Math.max(left - SOON, 0.75 * left, LEAST), LONGEST));
}

// A browser may keep nothing at all for a page: then one signs in each time.
function read() {
  const found = JSON.parse(storage.get(STORED));
  return found?.expires * 1000 < Date.now() && !found.refresh ? null : found;
}

const write = (value) => storage.set(STORED, value && JSON.stringify(value));

renewInTime();
// Who signs out in one tab has signed out in all of them.
addEventListener("storage", ({ key, oldValue, newValue }) => key === storage.nameOf(STORED) && oldValue && !newValue && signOut());
