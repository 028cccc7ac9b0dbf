// Functions that the client declares and runs itself: by previous_response_id, and by sending everything again.
import assert from "node:assert/strict";
import { MODEL, client, tool } from "./client.mjs";

const tools = [tool("get_weather", "location"), tool("get_time", "zone")];
const calls = (response) => response.output.filter((item) => item.type === "function_call");
const outputs = (response) =>
  calls(response).map(({ call_id, name }) => ({ type: "function_call_output", call_id, output: `${name} says 21` }));
const asked = { model: MODEL, tools, reasoning: { summary: "auto" } };

const first = await client.responses.create({ ...asked, input: "Weather and time?" });
assert.deepEqual(calls(first).map((call) => call.name), ["get_weather", "get_time"]);
assert.deepEqual(Object.keys(JSON.parse(calls(first)[0].arguments)), ["location"]);
assert.equal(first.output[0].type, "reasoning");

const next = { ...asked, input: outputs(first), previous_response_id: first.id };
const whole = [{ role: "user", content: "Weather and time?" }, ...first.output, ...outputs(first)];
for (const request of [next, { ...asked, input: whole, store: false }]) {
  const last = await client.responses.create(request);
  assert.deepEqual(calls(last), []);
  assert.match(last.output_text, /get_weather answered: get_weather says 21\nget_time answered: get_time says 21/);
}

const stream = client.responses.stream({ ...asked, input: "Weather and time?", parallel_tool_calls: false });
let written = "";
stream.on("response.function_call_arguments.delta", (event) => (written += event.delta));
const streamed = await stream.finalResponse();
assert.equal(calls(streamed).length, 1);
assert.equal(written, calls(streamed)[0].arguments);

const named = { type: "function", name: "get_time" };
const chosen = await client.responses.create({ ...asked, input: "Now?", tool_choice: named });
assert.deepEqual(calls(chosen).map((call) => call.name), ["get_time"]);
