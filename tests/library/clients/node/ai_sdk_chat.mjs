// The Vercel AI SDK in a chat: the second turn sends the first one's messages, as references to what is stored here.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";
import { API_KEY, BASE_URL, MODEL } from "./client.mjs";

const model = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY }).responses(MODEL);
const asked = { role: "user", content: "Client Nordwind asks for a date." };
const first = await generateText({ model, messages: [asked], maxRetries: 0 });
const messages = [asked, ...first.response.messages, { role: "user", content: "And the reply?" }];
const second = await generateText({ model, messages, maxRetries: 0 });
assert.match(second.text, /Dear Nordwind/);
