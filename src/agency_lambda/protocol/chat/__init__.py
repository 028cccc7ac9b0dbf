"""Chat Completions, as in OpenAI's API: a projection of a response, and of its events."""
