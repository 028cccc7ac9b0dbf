"""Requests and answers of Open Responses (OpenAI's Responses and Conversations APIs) and of the other protocols."""
