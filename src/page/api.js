// The client of the public API: one function for each thing that the page asks for. A test compares them with docs/openapi.json.
import { authorization, expire, isRenewed } from "./session.js";

const PAUSES = [500, 1500]; // ms before a request that was too much is made again

/** What the service has refused, or could not do. `status` 0: it could not be reached. `requestId` finds it in the log. */
export class ApiError extends Error {
  constructor(status, { message, code = null, param = null } = {}, requestId = null) {
    super(message ?? `HTTP ${status}`);
    Object.assign(this, { status, code, param, requestId });
  }
}

/** Return fetch's Response to a request below this page's own address. Raises ApiError unless it is 2xx or 3xx. */
export async function send(method, path, { query = {}, body, headers = {}, signal } = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const isForm = body instanceof FormData;
  const type = body === undefined || isForm ? {} : { "content-type": "application/json" };
  const request = {
    method,
    headers: { accept: "application/json", ...type, ...headers },
    body: body === undefined || isForm ? body : JSON.stringify(body),
    signal,
    cache: "no-store",
  };
  const credentials = authorization();
  let response = await asked(url, request, credentials);
  if (response.status === 401) {
    if (await isRenewed(credentials)) response = await asked(url, request, authorization());
    else expire(credentials);
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const requestId = response.headers.get("x-request-id");
  throw new ApiError(response.status, typeof error === "string" ? { message: error } : (error ?? {}), requestId);
}

async function asked(url, request, credentials) {
  try {
    return await fetch(url, { ...request, headers: { ...request.headers, ...credentials } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: error.message });
  }
}

/** Return the answer; what is only read is asked for again where the service, or the gateway, has too much to do. */
async function json(method, path, options) {
  for (let tries = 0; ; tries += 1) {
    try {
      const response = await send(method, path, options);
      return await response.json();
    } catch (error) {
      const isBusy = method === "GET" && (error.status === 429 || error.status >= 502);
      if (!isBusy || tries === PAUSES.length) throw error;
      await new Promise((goOn) => setTimeout(goOn, PAUSES[tries]));
    }
  }
}

/** Return the fields, which have these names and no others: a test compares the names with the service's document. */
function only(fields = {}, ...names) {
  const other = Object.keys(fields).find((name) => !names.includes(name));
  if (other) throw new TypeError(`The page sends no ${other} there.`);
  return fields;
}

// A URL takes the steps "." and ".." away, and would be that of another route: they are no ids of anything.
const id = (text) => encodeURIComponent(/^\.\.?$/.test(text) ? `id ${text}` : text);
const admin = (isAdmin) => (isAdmin ? "v1/admin" : "v1");

/** Who asks: owner, operator. secret: a key or token to try, in place of what one is signed in with. */
export const caller = (secret) =>
  json("GET", "v1/caller", secret ? { headers: { authorization: `Bearer ${secret}` } } : {});
export const agencies = async (options) => (await json("GET", "agencies", options)).agencies;

/** isAdmin, here and below: of any owner, for operators. */
export const response = (responseId, isAdmin) => json("GET", `${admin(isAdmin)}/responses/${id(responseId)}`);
export const cancelResponse = (responseId, isAdmin) =>
  json("POST", `${admin(isAdmin)}/responses/${id(responseId)}/cancel`);
/** Cancel all unfinished runs, one's own or, for operators, an owner's: 100 at most, others with `has_more`. */
export const cancelAll = (owner) =>
  owner
    ? json("POST", "v1/admin/responses/cancel", { query: only({ owner }, "owner") })
    : json("POST", "v1/responses/cancel");
export const deleteResponse = (responseId) => json("DELETE", `v1/responses/${id(responseId)}`);
export const inputItems = (responseId) => json("GET", `v1/responses/${id(responseId)}/input_items`);
export const responses = (query, isAdmin) =>
  json("GET", `${admin(isAdmin)}/responses`, {
    query: only(query, "limit", "after", "order", "status", "model", "conversation", "created_after", "owner"),
  });
export const trace = (responseId, isAdmin) => json("GET", `${admin(isAdmin)}/responses/${id(responseId)}/trace`);

export const conversations = (query) => json("GET", "v1/conversations", { query: only(query, "limit", "after") });
export const conversation = (conversationId) => json("GET", `v1/conversations/${id(conversationId)}`);
export const createConversation = (body) => json("POST", "v1/conversations", { body: only(body, "metadata") });
export const updateConversation = (conversationId, body) =>
  json("POST", `v1/conversations/${id(conversationId)}`, { body: only(body, "metadata") });
export const deleteConversation = (conversationId) => json("DELETE", `v1/conversations/${id(conversationId)}`);
export const conversationItems = (conversationId, query) =>
  json("GET", `v1/conversations/${id(conversationId)}/items`, { query: only(query, "limit", "order", "after") });

export const approvals = (query) => json("GET", "v1/approvals", { query: only(query, "limit", "after") });
export const approval = (approvalId, query) =>
  json("GET", `v1/approvals/${id(approvalId)}`, { query: only(query, "owner") });
/** Decide: body has approve, and reason or arguments; an operator's query names the owner. */
export const decide = (approvalId, body, query) =>
  json("POST", `v1/approvals/${id(approvalId)}`, {
    body: only(body, "approve", "reason", "arguments"),
    query: only(query, "owner"),
  });

export const usage = (query, isAdmin) =>
  json("GET", `${admin(isAdmin)}/usage`, { query: only(query, "from", "to", "after", "group_by", "owner") });
export const budget = (owner) => json("GET", `v1/admin/budgets/${id(owner)}`);
export const setBudget = (owner, body) =>
  json("PUT", `v1/admin/budgets/${id(owner)}`, {
    body: only(body, "usd_per_day", "usd_per_month", "tokens_per_day", "tokens_per_month", "runs_at_once"),
  });
/** Put the default of the settings in place of an owner's limits. */
export const resetBudget = (owner) => json("DELETE", `v1/admin/budgets/${id(owner)}`);

export function createFile(file, purpose = "user_data") {
  const form = new FormData();
  form.append("purpose", purpose);
  form.append("file", file, file.name);
  return json("POST", "v1/files", { body: form });
}
export const file = (fileId) => json("GET", `v1/files/${id(fileId)}`);
export const fileContent = async (fileId) => (await send("GET", `v1/files/${id(fileId)}/content`)).blob();
