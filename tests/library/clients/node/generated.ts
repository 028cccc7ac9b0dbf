// With the types that openapi-typescript makes of the document: a response, a stream, and the pages of a list.
import type { components, operations } from "./api.js";

declare const process: { env: Record<"URL" | "API_KEY" | "MODEL" | "QUESTION", string> };
const { URL: url, API_KEY, MODEL, QUESTION } = process.env;

type Schemas = components["schemas"];
type Answer<Name extends keyof operations> = operations[Name]["responses"] extends {
  200: { content: { "application/json": infer Body } };
}
  ? Body
  : never;

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

function send(method: string, path: string, body?: unknown): Promise<Response> {
  const headers = { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" };
  return fetch(url + path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
}

async function call<Name extends keyof operations>(method: string, path: string, body?: unknown): Promise<Answer<Name>> {
  const answer = await send(method, path, body);
  check(answer.ok, `${method} ${path}: ${answer.status}`);
  return (await answer.json()) as Answer<Name>;
}

async function* events(answer: Response): AsyncGenerator<Schemas["ResponseStreamEvent"]> {
  for (const line of (await answer.text()).split("\n")) {
    if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
  }
}

const question: Schemas["CreateResponse"] = { model: MODEL, input: QUESTION };
// @ts-expect-error an unknown parameter is refused, by the types too
const wrong: Schemas["CreateResponse"] = { model: MODEL, input: QUESTION, unknown: 1 };
const refused = await send("POST", "/v1/responses", wrong);
const failure = (await refused.json()) as Schemas["OpenAIFailureAnswer"];
check(refused.status === 400 && failure.error.param === "unknown", failure.error.message);

const response = await call<"createResponse">("POST", "/v1/responses", question);
const words = (said: Schemas["ResponseResource"]) =>
  said.output.flatMap((item) => (item.type === "message" ? item.content : [])).map((part) => (part.type === "output_text" ? part.text : ""));
check(words(response).join("").length > 0, "no words");

let text = "";
let last: Schemas["ResponseStreamEvent"] | undefined;
for await (const event of events(await send("POST", "/v1/responses", { ...question, stream: true }))) {
  if (event.type === "response.output_text.delta") text += event.delta;
  // @ts-expect-error only deltas have one
  else event.delta;
  last = event;
}
check(last?.type === "response.completed" && text === words(last.response).join(""), "the deltas are not the answer");

const ids: string[] = [];
let after = "";
for (let more = true; more; ) {
  const page = await call<"listResponses">("GET", `/v1/responses?limit=1${after}`);
  ids.push(...page.data.map((item) => item.id));
  more = page.has_more && ids.length < 3;
  after = `&after=${page.last_id}`;
}
check(ids.includes(response.id) && ids.includes(last.response.id), "not listed");
