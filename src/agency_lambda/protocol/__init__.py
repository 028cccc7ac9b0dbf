"""Open Responses, as in OpenAI's Responses and Conversations APIs."""
