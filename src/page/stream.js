// Server-sent events of a response, resumed until it is final, whatever happens to the connection.
import { isUnfinished } from "./answer.js";
import { ApiError, send } from "./api.js";

const FINAL = new Set(["response.completed", "response.failed", "response.incomplete"]);
const PAUSES = [500, 1000, 2000, 4000, 5000]; // ms before a connection that broke is tried again
const WAITS = [1000, 2000, 3000, 5000]; // ms between two looks at a run that waits
const TRIES = 6; // after that an error that the service answers itself is believed; without network there is no end
const SILENCE = 35_000; // ms: the service sends a comment after 10 seconds of silence
const BEGINNING = 60_000; // ms until the headers are there
const hurried = new EventTarget();

/** End all pauses: something has happened that a run may have waited for. */
export const hurry = () => hurried.dispatchEvent(new Event("hurry"));
addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && hurry());

/** Yield the data of each server-sent event of a fetch Response. Raises ApiError where nothing comes for long. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read(), SILENCE);
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const data = block.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
        if (data.length && data[0] !== "[DONE]") yield JSON.parse(data.join("\n"));
      }
    }
  } catch (error) {
    throw error.name === "AbortError" || error instanceof ApiError ? error : new ApiError(0, { message: error.message });
  } finally {
    reader.cancel().catch(() => {});
  }
}

function inTime(promise, milliseconds) {
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new ApiError(0, { message: "silence" })), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const path = (id) => `v1/responses/${encodeURIComponent(id)}`;
// The same key in every try: a question whose answer was lost is not asked twice.
const asking = (body, key, signal) =>
  inTime(send("POST", "v1/responses", { body, headers: { "idempotency-key": key }, signal }), BEGINNING);

/** Return the stored stream, or the response where none is stored, as of a run that was not streamed. */
async function reading(id, after, signal) {
  try {
    const query = { stream: true, starting_after: after };
    return await inTime(send("GET", path(id), { query, signal }), BEGINNING);
  } catch (error) {
    if (error.status !== 400) throw error;
    return inTime(send("GET", path(id), { signal }), BEGINNING);
  }
}

async function* eventsOrResponse(answer) {
  if (answer.headers.get("content-type")?.startsWith("text/event-stream")) return yield* events(answer);
  const response = await answer.json();
  const resume = isUnfinished(response);
  yield { type: resume ? "response.in_progress" : "response.completed", response, resume };
}

/**
 * Yield the events of a response until its last one: of a new one (`body`, and `key`, which is the question's own), or
 * of a stored one (`id`, behind number `after`). A connection that breaks is tried again, and a run that is handed over
 * or waits for a person is followed.
 *
 * Beside the service's events: `{type: "lost"}` and `{type: "found"}`, the connection is away, and back; `"reset"`,
 * what was heard comes anew, as the service may not have stored it; `"waiting"`, the run waits for a person or agents.
 */
export async function* follow({ body, key, id = null, after = -1, signal }) {
  for (let tries = 0, looks = 0; ; ) {
    try {
      const answer = id === null ? await asking(body, key, signal) : await reading(id, after, signal);
      if (tries) yield { type: "found" };
      let isHandedOver = false;
      for await (const event of eventsOrResponse(answer)) {
        id = event.response?.id ?? id;
        if ((event.sequence_number ?? -1) > after) tries = looks = 0;
        after = event.sequence_number ?? after;
        isHandedOver = Boolean(event.resume);
        yield event;
        if (FINAL.has(event.type)) return;
      }
      if (!isHandedOver) throw new ApiError(0, { message: "The stream has ended early." });
      tries = 0;
      if (looks++) yield { type: "waiting" };
      await pause(WAITS[Math.min(looks, WAITS.length) - 1], signal);
    } catch (error) {
      if (error.name === "AbortError" || !isPassing(error, id, tries)) throw error;
      if (!tries) yield { type: "lost" };
      if (after >= 0) yield { type: "reset" };
      after = -1;
      await pause(PAUSES[Math.min(tries, PAUSES.length - 1)], signal);
      tries += 1;
    }
  }
}

// A question that is refused by 429 (a budget, too many runs) is not asked again by itself. A 500 without a code is the
// gateway's: the service has begun, and could not answer.
const isPassing = ({ status, code }, id, tries) =>
  status === 0 ||
  (tries < TRIES && (status >= 502 || (status === 500 && !code) || (status === 429 && id !== null)));

function pause(milliseconds, signal) {
  return new Promise((go, refuse) => {
    const end = (settle) => () => {
      clearTimeout(timer);
      hurried.removeEventListener("hurry", done);
      signal?.removeEventListener("abort", aborted);
      settle();
    };
    const done = end(go);
    const aborted = end(() => refuse(signal.reason));
    const timer = setTimeout(done, milliseconds);
    hurried.addEventListener("hurry", done);
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted) aborted();
  });
}
