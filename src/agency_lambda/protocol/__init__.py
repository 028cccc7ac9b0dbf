"""Open Responses, as in OpenAI's Responses and Conversations APIs. It knows no agency and no store."""
