// Streams: events one by one, the helper, and a stream that was kept.
import assert from "node:assert/strict";
import { MODEL, QUESTION, client } from "./client.mjs";

const events = [];
for await (const event of await client.responses.create({ model: MODEL, input: QUESTION, stream: true })) {
  events.push(event);
}
const final = events.at(-1);
assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
assert.equal(events[0].type, "response.created");
assert.equal(final.type, "response.completed");
const told = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join("");
assert.match(told, /Dear Nordwind/);

const stream = client.responses.stream({ model: MODEL, input: QUESTION });
let heard = "";
stream.on("response.output_text.delta", (event) => (heard += event.delta));
const helped = await stream.finalResponse();
assert.equal(helped.status, "completed");
assert.equal(heard, helped.output_text);
assert.match(heard, /Dear Nordwind/);

const replayed = [];
const kept = { stream: true, starting_after: 4 };
for await (const event of await client.responses.retrieve(final.response.id, kept)) replayed.push(event);
assert.deepEqual(replayed, events.slice(5));

const again = client.responses.stream({ response_id: final.response.id, starting_after: 4 });
assert.equal((await again.finalResponse()).output_text, told);
