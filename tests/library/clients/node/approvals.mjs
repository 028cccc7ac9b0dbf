// A person is asked, and answers: in the foreground, in a stream and in the background.
import assert from "node:assert/strict";
import { OpenAI, client } from "./client.mjs";

const model = "payments";
const requests = (response) => response.output.filter((item) => item.type === "mcp_approval_request");
const answer = (request, approve = true, reason = undefined) => ({
  type: "mcp_approval_response",
  approval_request_id: request.id,
  approve,
  reason,
});
const text = (response) => response.output_text.replaceAll("[offline model] ", "").split("\n")[0];
const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

// Two colleagues ask in parallel; one answer holds both decisions.
const first = await client.responses.create({ model, input: "Colleague: pay ann & Auditor: pay bob" });
assert.equal(first.status, "completed");
assert.deepEqual(requests(first).map((each) => JSON.parse(each.arguments).to).sort(), ["ann", "bob"]);
assert.deepEqual(requests(first).map((each) => [each.name, each.server_label])[0], ["pay", model]);
const input = requests(first).map((each) => {
  return JSON.parse(each.arguments).to === "ann" ? answer(each) : answer(each, false, "Not Bob.");
});
const rest = await client.responses.create({ model, input, previous_response_id: first.id });
assert.equal(text(rest), "Entry: Colleague: paid 1 to ann | Auditor: Not Bob.");
const next = await client.responses.create({ model, input: "Thanks.", previous_response_id: rest.id });
assert.equal(text(next), "Entry: Thanks.");
const again = client.responses.create({ model, input, previous_response_id: first.id });
await assert.rejects(again, (error) => error instanceof OpenAI.ConflictError && error.code === "approval_decided");

// The stream helper gets the requests, and the rest, in a conversation.
const conversation = (await client.conversations.create({})).id;
const streamed = (body) => client.responses.stream({ model, conversation, ...body }).finalResponse();
const [one] = requests(await streamed({ input: "Partner! pay ann; pay bob" }));
const second = await streamed({ input: [answer(one)] });
const [two] = requests(second);
assert.equal(text(await streamed({ input: [answer(two)] })), "Partner: paid 1 to ann | paid 1 to bob");
const kinds = [];
for await (const item of client.conversations.items.list(conversation, { order: "asc" })) kinds.push(item.type);
assert.equal(kinds.filter((kind) => kind === "mcp_approval_request").length, 2);
assert.equal(kinds.filter((kind) => kind === "mcp_approval_response").length, 2);
assert.equal(kinds.filter((kind) => kind === "message").length, 2);

// In the background the same id goes on, three levels deep.
let polled = await client.responses.create({ model, input: "Colleague: Auditor: pay dan", background: true });
while (!requests(polled).length) polled = (await pause(), await client.responses.retrieve(polled.id));
assert.equal(polled.status, "in_progress");
const more = { input: requests(polled).map((each) => answer(each)), background: true, previous_response_id: polled.id };
const { id } = await client.responses.create({ model, ...more });
assert.equal(id, polled.id);
while (polled.status === "in_progress") polled = (await pause(), await client.responses.retrieve(id));
assert.equal(text(polled), "Entry: Colleague: Auditor: paid 1 to dan");
