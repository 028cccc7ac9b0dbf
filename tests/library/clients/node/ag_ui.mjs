// `HttpAgent`, whose verification refuses a stream that is not as AG-UI 1.0 says.
import assert from "node:assert/strict";
import { EventType, HttpAgent } from "@ag-ui/client";

const { BASE_URL, API_KEY, MODEL, QUESTION } = process.env;
const url = (path) => `${BASE_URL.replace(/\/v1$/, "")}/ag-ui/${path}`;
const headers = { authorization: `Bearer ${API_KEY}` };
const page = (path, options = {}) => new HttpAgent({ url: url(path), headers, ...options });
const say = (agent, content) => agent.addMessage({ id: crypto.randomUUID(), role: "user", content });
const texts = (agent) => agent.messages.filter((each) => each.role === "assistant" && each.content);
const last = (agent) => texts(agent).at(-1).content.replaceAll("[offline model] ", "");
console.error = () => {}; // it writes what a run has failed with, and throws that, too

async function run(agent, parameters = {}) {
  const events = [];
  const result = await agent.runAgent(parameters, { onEvent: ({ event }) => void events.push(event) });
  return { ...result, events, kinds: events.map((each) => each.type) };
}

// A question: words come as they are said; who works is shown; the state comes back.
const agent = page(MODEL, { initialState: { open: [1] } });
say(agent, QUESTION);
const { newMessages, kinds, events } = await run(agent);
assert.deepEqual([kinds[0], kinds.at(-1)], [EventType.RUN_STARTED, EventType.RUN_FINISHED]);
assert.ok(kinds.filter((each) => each === EventType.TEXT_MESSAGE_CONTENT).length > 3);
assert.ok(kinds.includes(EventType.SUBAGENT_STARTED) && kinds.includes(EventType.STEP_FINISHED));
assert.deepEqual(agent.state, { open: [1] });
assert.ok(newMessages.some((each) => each.role === "reasoning" && /^Writer asks Registrar$/m.test(each.content)));
const subtask = /Subtask (\d+)/.exec(last(agent))[1];

// A second turn goes on; a browser that is opened again has kept the messages and nothing else.
const again = page(MODEL, { threadId: agent.threadId, initialMessages: JSON.parse(JSON.stringify(agent.messages)) });
say(again, `Give me the details of task ${subtask}.`);
await run(again);
assert.match(last(again), /Nordwind/);

// A tool of the page.
const tools = [{ name: "get_weather", description: "The weather.", parameters: { type: "object", properties: {} } }];
const weather = page(MODEL);
say(weather, "How is the weather?");
const called = await run(weather, { tools });
const [call] = weather.messages.at(-1).toolCalls;
assert.deepEqual(called.events.at(-1).outcome.pendingToolCallIds, [call.id]);
weather.addMessage({ id: crypto.randomUUID(), role: "tool", toolCallId: call.id, content: "It rains." });
await run(weather, { tools });
assert.match(last(weather), /It rains/);

// An image, and what cannot be read.
say(weather, [
  { type: "text", text: "What is this?" },
  { type: "image", source: { type: "data", value: "iVBORw0KGgo=", mimeType: "image/png" } },
  { type: "audio", source: { type: "url", value: "https://example.com/a.wav" } },
]);
await run(weather);

// Two colleagues ask a person: one is approved with other arguments, one is refused.
const payments = page("payments");
say(payments, "Colleague: pay ann & Auditor: pay bob");
await run(payments);
const asked = payments.pendingInterrupts;
assert.deepEqual(asked.map((each) => each.metadata.arguments.to).sort(), ["ann", "bob"]);
await assert.rejects(run(payments), /not addressed by resume/); // the client's own check
const answers = { ann: { approved: true, editedArgs: { to: "eve", amount: 2 } }, bob: { approved: false, reason: "No." } };
await run(payments, {
  resume: asked.map((each) => {
    return { interruptId: each.id, status: "resolved", payload: answers[each.metadata.arguments.to] };
  }),
});
assert.match(last(payments), /paid 2 to eve \| Auditor: No\./);
assert.deepEqual(payments.pendingInterrupts, []);
say(payments, "Thanks.");
await run(payments);
assert.equal(last(payments), "Entry: Thanks.");

// The same run again is followed: nothing is said twice.
const runId = crypto.randomUUID();
const once = page("payments");
say(once, "Hello");
await run(once, { runId });
const before = JSON.stringify(once.messages);
await run(once, { runId });
assert.equal(JSON.stringify(once.messages), before);

// What goes wrong before a run is an answer of its own.
const initialMessages = [{ id: "u", role: "user", content: "Hello" }];
for (const path of ["nobody", `${MODEL}/Nobody`]) {
  await assert.rejects(run(page(path, { initialMessages })), (error) => error.status === 404);
}
await assert.rejects(run(new HttpAgent({ url: url(MODEL) })), (error) => error.status === 401);
await assert.rejects(run(page(MODEL)), (error) => error.status === 400);
