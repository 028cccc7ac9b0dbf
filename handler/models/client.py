"""The HTTP client of the service's own model client: which failures it repeats by itself."""

import httpx
from openai import APIStatusError, DefaultAsyncHttpxClient

from handler.models.sorting import is_passing, retry_after

_LONGEST_WAIT = 10.0  # seconds within a call; a longer one is for whoever asked, or for another attempt at the run


def http_client(timeout: httpx.Timeout) -> httpx.AsyncClient:
    """Return a client that tells `AsyncOpenAI` not to repeat what stays as it is, or what it shall wait long for.

    By itself it repeats every 429, that of a used up account too, and asks again sooner than `Retry-After` says if that
    is more than a minute.
    """
    return DefaultAsyncHttpxClient(timeout=timeout, event_hooks={"response": [_mark]})


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
    if not is_passing(failure) or retry_after(failure) > _LONGEST_WAIT:
        response.headers["x-should-retry"] = "false"
