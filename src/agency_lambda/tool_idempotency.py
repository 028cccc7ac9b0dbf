"""For tools that change something outside: the key of the call that runs now.

A run that is interrupted is taken up again. A tool call that had finished is not made again; one that was interrupted
is, with the same key: a service that takes idempotency keys then does it once.

    from agency_lambda import idempotency_key

    httpx.post(url, json=order, headers={"Idempotency-Key": idempotency_key()})
"""

from contextvars import ContextVar

current: ContextVar[str] = ContextVar("idempotency_key", default="")


def idempotency_key() -> str:
    """The same for every attempt at one call, and for no other call; "" outside of a run."""
    return current.get()
