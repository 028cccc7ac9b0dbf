"""A model provider on loopback in a process of its own: OpenAI's Responses and Chat Completions, whole and streamed.

`python -m benchmarks.provider [PORT]` prints its base URL. What it answers is computed from the request alone.
"""
