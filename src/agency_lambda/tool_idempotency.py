from contextvars import ContextVar

current: ContextVar[str] = ContextVar("idempotency_key", default="")


# An interrupted call is made again with the same key: a service that takes idempotency keys then does it once.
def idempotency_key() -> str:
    """Return the key of the current tool call, the same in every attempt at it; "" outside of a run.

    httpx.post(url, json=order, headers={"Idempotency-Key": idempotency_key()})
    """
    return current.get()
