"""The HTTP client of the service's own model client: which failures it repeats by itself."""

import httpx
from openai import APIStatusError, AsyncOpenAI

from agency_lambda.framework.models.failure_kinds import is_transient, retry_after

_LONGEST_WAIT = 10.0  # seconds within a call; a longer one is for whoever asked, or for another attempt at the run


def sort_failures(client: AsyncOpenAI) -> AsyncOpenAI:
    """Have a client not repeat what stays as it is, nor what it would have to wait long for.

    By itself it repeats every 429, that of a used up account too, and asks again sooner than `Retry-After` says if that
    is more than a minute. Its HTTP client is its own (openai 2.44.0): one that it is given is not closed with it.
    """
    client._client.event_hooks = {"response": [_mark]}
    return client


async def _mark(response: httpx.Response) -> None:
    """Set the header that `AsyncOpenAI` reads before it decides."""
    if response.status_code < 400:
        return
    await response.aread()
    try:
        body = response.json()
    except ValueError:
        body = None
    error = body.get("error", body) if isinstance(body, dict) else body
    failure = APIStatusError(response.text, response=response, body=error)
    if not is_transient(failure) or retry_after(failure) > _LONGEST_WAIT:
        response.headers["x-should-retry"] = "false"
