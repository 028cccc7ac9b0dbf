// OpenAI's client, with nothing changed but where it calls; a retry would hide a failure.
import OpenAI from "openai";

export const { BASE_URL, API_KEY, MODEL, QUESTION } = process.env;
export const options = { baseURL: BASE_URL, apiKey: API_KEY, maxRetries: 0, timeout: 30_000 };
export const client = new OpenAI(options);
export { OpenAI };

export const tool = (name, argument) => ({
  type: "function",
  name,
  description: `The ${name.slice(4)} at a place now.`,
  strict: true,
  parameters: {
    type: "object",
    properties: { [argument]: { type: "string" } },
    required: [argument],
    additionalProperties: false,
  },
});
