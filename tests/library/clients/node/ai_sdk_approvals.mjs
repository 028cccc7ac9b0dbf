// The Vercel AI SDK gets a request for approval, and sends its user's decision.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";
import { API_KEY, BASE_URL } from "./client.mjs";

const model = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY }).responses("payments");
const asked = await generateText({ model, prompt: "Colleague: pay ann", maxRetries: 0 });
const [request] = asked.content.filter((part) => part.type === "tool-approval-request");
assert.equal(request.toolCall.toolName, "mcp.pay");
const decision = { type: "tool-approval-response", approvalId: request.approvalId, approved: true, providerExecuted: true };
const rest = await generateText({
  model,
  maxRetries: 0,
  messages: [...asked.response.messages, { role: "tool", content: [decision] }],
  providerOptions: { openai: { previousResponseId: asked.providerMetadata.openai.responseId } },
});
assert.match(rest.text, /paid 1 to ann/);
