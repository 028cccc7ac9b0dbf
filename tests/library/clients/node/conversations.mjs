// Conversations and what was said in them.
import assert from "node:assert/strict";
import { MODEL, client } from "./client.mjs";

const say = (text) => ({ type: "message", role: "user", content: text });
const made = await client.conversations.create({ metadata: { client: "Nordwind" }, items: [say("Client Nordwind asks.")] });
assert.deepEqual(await client.conversations.retrieve(made.id), made);
const renamed = await client.conversations.update(made.id, { metadata: { client: "Maier" } });
assert.deepEqual(renamed.metadata, { client: "Maier" });

const answer = await client.responses.create({ model: MODEL, input: "And the reply?", conversation: made.id });
assert.match(answer.output_text, /Dear Nordwind/);
await client.conversations.items.create(made.id, { items: [say("Thank you.")] });

const items = [];
for await (const item of client.conversations.items.list(made.id, { limit: 2, order: "asc" })) items.push(item);
const texts = items.filter((item) => item.type === "message").map((item) => item.content[0].text);
assert.deepEqual(texts, ["Client Nordwind asks.", "And the reply?", answer.output_text, "Thank you."]);
const one = await client.conversations.items.retrieve(items[0].id, { conversation_id: made.id });
assert.deepEqual(one, items[0]);

assert.equal((await client.conversations.delete(made.id)).deleted, true);
await assert.rejects(client.conversations.retrieve(made.id), { status: 404 });
