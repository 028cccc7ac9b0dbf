// The Vercel AI SDK's provider of chat completions, with its own loop around its own tool, and an image.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { API_KEY, BASE_URL, MODEL, QUESTION } from "./client.mjs";

const model = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY }).chat(MODEL);
const places = [];
const get_weather = tool({
  description: "The weather at a place now.",
  inputSchema: jsonSchema({ type: "object", properties: { location: { type: "string" } }, required: ["location"] }),
  execute: async ({ location }) => (places.push(location), "rain at 21 degrees"),
});
const looped = { model, tools: { get_weather }, stopWhen: stepCountIs(3), prompt: "How is the weather?", maxRetries: 0 };

const plain = await generateText({ model, prompt: QUESTION, maxRetries: 0, maxOutputTokens: 5000, temperature: 0.5 });
assert.match(plain.text, /Dear Nordwind/);
assert.ok(plain.usage.totalTokens > 0);

assert.match((await generateText(looped)).text, /rain at 21 degrees/);
const stream = streamText({ ...looped, onError: ({ error }) => assert.fail(error) });
let told = "";
for await (const delta of stream.textStream) told += delta;
assert.match(told, /rain at 21 degrees/);
assert.equal(places.length, 2);

const image = { type: "image", image: "iVBORw0KGgo=", mediaType: "image/png" };
const messages = [{ role: "user", content: [{ type: "text", text: "What is this?" }, image] }];
assert.ok((await generateText({ model, messages, maxRetries: 0 })).text);
