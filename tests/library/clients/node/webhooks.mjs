// A webhook's receiver, and `client.webhooks.unwrap` of what it gets.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";

import { MODEL, QUESTION, client } from "./client.mjs";

const received = createServer();
received.listen(0, "127.0.0.1");
await once(received, "listening");

const url = `http://127.0.0.1:${received.address().port}/hook`;
const { secret } = await client.put("/webhooks", { body: { url, events: ["response.completed"] } });
const answered = client.responses.create({ model: MODEL, input: QUESTION });
const [request, answer] = await once(received, "request");
let body = "";
for await (const chunk of request) body += chunk;
answer.end();

const event = await client.webhooks.unwrap(body, request.headers, secret);
assert.equal(event.type, "response.completed");
assert.equal(event.data.id, (await answered).id);
assert.equal(event.id, request.headers["webhook-id"]);
await assert.rejects(client.webhooks.unwrap(body.replace("resp_", "resp-"), request.headers, secret));
await client.delete("/webhooks");
received.close();
