// Server-sent events of a response, resumed until it is final, whatever happens to the connection.
import { ApiError, send } from "./api.js";

const FINAL = new Set(["response.completed", "response.failed", "response.incomplete"]);
const PAUSES = [500, 1000, 2000, 4000, 8000, 15000]; // ms before the connection is tried again
const SILENCE = 35_000; // ms: the service sends a comment after 10 seconds of silence

/** Yield the data of each server-sent event of a fetch Response. Raises ApiError where nothing comes for long. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const data = block.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
        if (data.length && data[0] !== "[DONE]") yield JSON.parse(data.join("\n"));
      }
    }
  } catch (error) {
    throw error.name === "AbortError" || error instanceof ApiError ? error : new ApiError(0, error);
  } finally {
    reader.cancel().catch(() => {});
  }
}

function inTime(reading) {
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new ApiError(0, { message: "silence" })), SILENCE);
  });
  return Promise.race([reading, late]).finally(() => clearTimeout(timer));
}

const reads = (id, after, signal) =>
  send("GET", `v1/responses/${encodeURIComponent(id)}`, { query: { stream: true, starting_after: after }, signal });

/**
 * Yield the events of a response: of a new one (`body`), or of a stored one (`id`, behind number `after`).
 *
 * A connection that breaks is tried again until the response is final. Events that the service may not have stored are
 * then told anew: `{type: "reset"}` says to drop what was heard. `{type: "lost"}` and `{type: "found"}` say that the
 * connection is away, and back. Ends at the last event, and where a run waits for a person.
 */
export async function* follow({ body, id = null, after = -1, signal }) {
  const headers = { "idempotency-key": crypto.randomUUID() };
  for (let tries = 0; ; ) {
    try {
      const asks = id === null || (body && after < 0 && !tries);
      const answer = asks ? await send("POST", "v1/responses", { body, headers, signal }) : await reads(id, after, signal);
      if (tries) yield { type: "found" };
      let isHandedOver = false;
      for await (const event of events(answer)) {
        tries = 0;
        id = event.response?.id ?? id;
        after = event.sequence_number ?? after;
        if (!event.resume) yield event;
        if (FINAL.has(event.type)) return;
        if (event.resume && event.response.output?.some((item) => item.type === "mcp_approval_request")) return;
        isHandedOver = Boolean(event.resume);
      }
      if (isHandedOver) continue;
      throw new ApiError(0, { message: "The stream has ended early." });
    } catch (error) {
      if (error.name === "AbortError" || !isPassing(error)) throw error;
      if (!tries) yield { type: "lost" };
      if (after >= 0) yield { type: "reset" };
      after = -1;
      await pause(PAUSES[Math.min(tries, PAUSES.length - 1)], signal);
      tries += 1;
    }
  }
}

const isPassing = ({ status }) => status === 0 || status === 429 || status >= 500;

function pause(milliseconds, signal) {
  return new Promise((go, refuse) => {
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      removeEventListener("online", done);
      go();
    }
    addEventListener("online", done);
    signal?.addEventListener("abort", () => refuse(signal.reason), { once: true });
  });
}
