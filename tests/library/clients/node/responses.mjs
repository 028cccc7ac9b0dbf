// A response as a whole, by the official client.
import assert from "node:assert/strict";
import { MODEL, QUESTION, client } from "./client.mjs";

const made = await client.responses.create({ model: MODEL, input: QUESTION, metadata: { case: "7" } });
assert.equal(made.status, "completed");
assert.match(made.output_text, /Dear Nordwind/);
assert.ok(made.usage.total_tokens > 0);

const { data, response } = await client.responses.retrieve(made.id).withResponse();
assert.equal(response.status, 200);
assert.deepEqual(data.output, made.output);

const listed = [];
for await (const item of client.responses.inputItems.list(made.id, { limit: 1 })) listed.push(item);
assert.deepEqual(listed.map((item) => item.content[0].text), [QUESTION]);

const branch = await client.responses.create({ model: MODEL, input: "And the reply?", previous_response_id: made.id });
assert.match(branch.output_text, /Dear Nordwind/);

const names = [];
for await (const model of client.models.list()) names.push(model.id);
assert.ok(names.includes(MODEL));
for (const name of names) assert.equal((await client.models.retrieve(name)).id, name);

await client.responses.delete(made.id);
await assert.rejects(client.responses.retrieve(made.id), { status: 404, code: "not_found" });
