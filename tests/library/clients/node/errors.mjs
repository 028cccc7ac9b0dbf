// What is refused, as the client's own exceptions.
import assert from "node:assert/strict";
import { MODEL, OpenAI, client, options } from "./client.mjs";

const asked = { model: MODEL, input: "Greet me." };
const refused = async (made, kind, fields) => {
  const error = await made.then(() => assert.fail("not refused"), (error) => error);
  assert.ok(error instanceof kind, `${error}`);
  for (const [name, value] of Object.entries(fields)) assert.equal(error[name], value, name);
  assert.ok(error.requestID);
};

const nobody = new OpenAI({ ...options, apiKey: "al_nobody" });
await refused(nobody.responses.create(asked), OpenAI.AuthenticationError, { status: 401, code: "unauthenticated" });
await refused(client.responses.retrieve("resp_0"), OpenAI.NotFoundError, { status: 404, code: "not_found" });
await refused(client.responses.create({ ...asked, model: "gpt-5" }), OpenAI.NotFoundError, {
  param: "model",
  code: "model_not_found",
});
for (const [name, value] of Object.entries({ top_logprobs: 2, best_of: 2 })) {
  const made = client.responses.create({ ...asked, [name]: value });
  await refused(made, OpenAI.BadRequestError, { param: name, code: "unsupported_parameter" });
}
await refused(client.responses.create({ ...asked, temperature: 3 }), OpenAI.BadRequestError, { param: "temperature" });
await refused(client.responses.create({ ...asked, temperature: 3, stream: true }), OpenAI.BadRequestError, {
  param: "temperature",
});

const once = { headers: { "Idempotency-Key": "node" } };
const first = await client.responses.create(asked, once);
assert.equal((await client.responses.create(asked, once)).id, first.id);
await refused(client.responses.create({ ...asked, input: "Greet her." }, once), OpenAI.ConflictError, {
  code: "idempotency_key_reused",
});
