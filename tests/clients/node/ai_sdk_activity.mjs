// The Vercel AI SDK shows what the agents do: it reads the deltas, not the items.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";
import { API_KEY, BASE_URL, MODEL, QUESTION } from "./client.mjs";

const model = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY }).responses(MODEL);
let shown = "";
for await (const part of streamText({ model, prompt: QUESTION, maxRetries: 0 }).fullStream) {
  if (part.type === "reasoning-delta") shown += part.text;
}
assert.match(shown, /AgreementManager asks PlanfixAgent/);
