// Chat completions of OpenAI's client: whole, streamed, its tool runner, errors.
import assert from "node:assert/strict";
import { MODEL, OpenAI, QUESTION, client } from "./client.mjs";

const asked = { model: MODEL, messages: [{ role: "user", content: QUESTION }] };

const whole = await client.chat.completions.create(asked);
assert.match(whole.choices[0].message.content, /Dear Nordwind/);
assert.equal(whole.choices[0].finish_reason, "stop");
assert.equal((await client.responses.retrieve(whole.id)).output_text, whole.choices[0].message.content);

const chunks = [];
const stream_options = { include_usage: true };
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true, stream_options })) chunks.push(chunk);
assert.match(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), /Dear Nordwind/);
assert.ok(chunks.at(-1).usage.total_tokens > 0);

const places = [];
const runner = client.chat.completions.runTools({
  model: MODEL,
  messages: [{ role: "user", content: "How is the weather?" }],
  stream: true,
  tools: [
    {
      type: "function",
      function: {
        name: "get_weather",
        description: "The weather at a place now.",
        parse: JSON.parse,
        parameters: { type: "object", properties: { location: { type: "string" } }, required: ["location"] },
        function: ({ location }) => (places.push(location), "rain at 21 degrees"),
      },
    },
  ],
});
assert.match(await runner.finalContent(), /rain at 21 degrees/);
assert.equal(places.length, 1);

const error = await client.chat.completions.create({ ...asked, n: 2 }).catch((error) => error);
assert.ok(error instanceof OpenAI.BadRequestError);
assert.deepEqual([error.param, error.code], ["n", "unsupported_parameter"]);
