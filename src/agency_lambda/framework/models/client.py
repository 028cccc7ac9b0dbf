"""When the client of OpenAI tries a call again, and which tries a provider may bill."""

from contextvars import ContextVar
from dataclasses import dataclass

import httpx
from openai import APIStatusError, AsyncOpenAI

from agency_lambda.framework.models.failure_kinds import is_transient, retry_after

_LONGEST_WAIT = 10.0  # seconds within a call; a longer one is for whoever asked, or for another attempt at the run


@dataclass
class Tries:
    """The tries of a call for which one is reserved. has_failed: the last one was answered with an error."""

    has_failed: bool = True
    are_sent: bool = False

    @property
    def are_free(self) -> bool:
        """Return whether errors answered all, which no provider bills. False of a client that counts none."""
        return self.are_sent and self.has_failed


reserved_tries: ContextVar[Tries | None] = ContextVar("reserved_tries", default=None)


def sort_failures(client: AsyncOpenAI) -> AsyncOpenAI:
    """Make a client repeat only transient failures, and wait at most 10 seconds before it does."""
    # By itself it repeats every 429, and asks sooner than `Retry-After` if that is over a minute.
    client._client.event_hooks = {"request": [_refuse_unreserved], "response": [_mark]}
    return client


async def _refuse_unreserved(request: httpx.Request) -> None:
    # A try without an answer may be billed, and so would be its repetition.
    if (tries := reserved_tries.get()) is None:
        return
    if not tries.has_failed:
        raise httpx.ConnectError("the last try has no answer, and no other is reserved", request=request)
    tries.has_failed, tries.are_sent = False, True


async def _mark(response: httpx.Response) -> None:
    if tries := reserved_tries.get():
        tries.has_failed = response.status_code >= 400
    # `AsyncOpenAI` reads `x-should-retry` before it decides.
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
