// Sign-in at an OpenID issuer: code flow with PKCE, in this tab. What the issuer answers is checked by oauth4webapi.
import { settings } from "./session.js";
import { tabStorage } from "./storage.js";
import * as oauth from "oauth4webapi";

const PENDING = "sign-in";
const { issuer, authorization_endpoint, token_endpoint, client_id, audience, scope } = settings;
const algorithms = { id_token_signing_alg_values_supported: ["RS256", "ES256"] }; // what the service takes
const server = { issuer, authorization_endpoint, token_endpoint, ...algorithms };
const client = { client_id };
// The server takes http from an issuer on this machine only.
const options = () => ({ [oauth.allowInsecureRequests]: new URL(token_endpoint).protocol === "http:" });
const redirect = () => location.origin + location.pathname;

/** Leave for the issuer, which leads back here. */
export async function leave() {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  tabStorage.set(PENDING, JSON.stringify({ verifier, state, hash: location.hash }));
  const url = new URL(authorization_endpoint);
  const query = {
    client_id,
    redirect_uri: redirect(),
    response_type: "code",
    scope,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...(audience === client_id ? {} : { audience }), // some issuers are told so for whom the token is; others pass over it
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Return whether the issuer has led back here. */
export function isBack() {
  const query = new URLSearchParams(location.search);
  return query.has("state") && (query.has("code") || query.has("error"));
}

/** Return `{token, owner, expires, refresh}` for what the issuer has led back with, and clean the address. */
export async function arrive() {
  const url = new URL(location.href);
  const pending = JSON.parse(tabStorage.get(PENDING));
  tabStorage.set(PENDING, "");
  history.replaceState(null, "", location.pathname + (pending?.hash ?? ""));
  if (!pending) throw new Error("This sign-in was not begun in this tab.");
  const answer = oauth.validateAuthResponse(server, client, url, pending.state);
  const given = [server, client, oauth.None(), answer, redirect(), pending.verifier, options()];
  const response = await oauth.authorizationCodeGrantRequest(...given);
  return kept(await oauth.processAuthorizationCodeResponse(server, client, response));
}

/** Return the same for a refresh token. */
export async function refreshed(token) {
  const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, options());
  return kept(await oauth.processRefreshTokenResponse(server, client, response), token);
}

/** The token that is for the service: some issuers give an ID token for it, and an access token for themselves. */
function kept({ access_token, id_token, expires_in, refresh_token }, before) {
  const tokens = [access_token, id_token].filter(Boolean);
  const token = tokens.find((each) => [claims(each).aud].flat().includes(audience)) ?? access_token;
  const { exp, iat, sub } = claims(token);
  const lifetime = exp && iat ? exp - iat : expires_in; // as this browser's clock may differ
  const expires = lifetime && Math.floor(Date.now() / 1000) + lifetime;
  return { token, owner: sub, expires, refresh: refresh_token ?? before };
}

/** What a token says, unchecked: the service checks it. */
function claims(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {}; // it is no JWT
  }
}
