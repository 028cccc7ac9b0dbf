"""What is left of the time of this invocation; on a laptop it has no end."""

import math

from lambda_loop import seconds_remaining

_RESERVED = 1.0  # seconds before the end of an invocation, in which nothing waits any more


def seconds_to_wait() -> float:
    """Return how long a request may still wait; negative when it is to end now, infinite outside of Lambda."""
    left = seconds_remaining()
    return math.inf if left is None else left - _RESERVED


def limited_to_invocation(seconds: float) -> float:
    """Return `seconds`, but at most half of what is left of the invocation."""
    left = seconds_remaining()
    return seconds if left is None else min(seconds, left / 2)
