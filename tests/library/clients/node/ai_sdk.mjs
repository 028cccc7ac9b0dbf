// The Vercel AI SDK, which front ends use: its own loop around its own tool.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { API_KEY, BASE_URL, MODEL, QUESTION } from "./client.mjs";

const model = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY }).responses(MODEL);
const asked = [];
const get_weather = tool({
  description: "The weather at a place now.",
  inputSchema: jsonSchema({
    type: "object",
    properties: { location: { type: "string" } },
    required: ["location"],
    additionalProperties: false,
  }),
  execute: async ({ location }) => {
    asked.push(location);
    return "rain at 21 degrees";
  },
});
const looped = { model, tools: { get_weather }, stopWhen: stepCountIs(3), prompt: "How is the weather?", maxRetries: 0 };

const plain = await generateText({ model, prompt: QUESTION, maxRetries: 0 });
assert.match(plain.text, /Dear Nordwind/);
assert.ok(plain.usage.totalTokens > 0);

for (const openai of [{ store: false }, {}]) {
  const whole = await generateText({ ...looped, providerOptions: { openai } });
  assert.match(whole.text, /rain at 21 degrees/);
  const stream = streamText({ ...looped, providerOptions: { openai }, onError: ({ error }) => assert.fail(error) });
  let told = "";
  for await (const delta of stream.textStream) told += delta;
  assert.match(told, /rain at 21 degrees/);
}
assert.equal(asked.length, 4);
