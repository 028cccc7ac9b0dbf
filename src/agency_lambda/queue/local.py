"""The queue of one process, for its own worker."""

import asyncio
import heapq
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

from agency_lambda.queue.messages import Message, owner_of

type Accept = Callable[[Message, str], bool]
"""Whether a message of an owner may be received now."""


class LocalQueue:
    """Messages in a line for each owner and kind. The lines take turns; each is in the order of its messages' times."""

    # After a restart the worker finds its runs in the store. A Lambda has no worker beside its requests.
    durable = "AWS_LAMBDA_FUNCTION_NAME" not in os.environ

    def __init__(self) -> None:
        self._sent: list[tuple[float, int, Message, str]] = []  # a heap, by when each is due
        self._numbers = count()
        # The line whose turn it is comes first. A line has each message once: the sweep sends for runs that wait long.
        self._lines: dict[tuple[type, str], dict[Message, None]] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._sent) + sum(map(len, self._lines.values()))

    async def send(self, message: Message, delay: float = 0.0, *, owner: str = "") -> None:
        self.put(message, owner, delay)

    async def send_runs(self, run_ids: Sequence[str], *, owner: str) -> None:
        for run_id in run_ids:
            self.put(run_id, owner)

    def put(self, message: Message, owner: str, delay: float = 0.0) -> None:
        due = time.monotonic() + delay
        heapq.heappush(self._sent, (due, next(self._numbers), message, owner_of(message, owner)))
        self._changed.set()

    async def receive(self, accept: Accept = lambda message, owner: True) -> tuple[Message, str]:
        """Wait for a message that is due, and that is accepted; return it with its owner."""
        while (received := self.take(accept)) is None:
            self._changed.clear()
            # The worker waits for what is due: a timer of the request that has sent it would end with the request.
            pause = self._sent[0][0] - time.monotonic() if self._sent else None
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()
        return received

    def take(self, accept: Accept = lambda message, owner: True) -> tuple[Message, str] | None:
        """Return the first message that is due and accepted, with its owner; None if there is none."""
        self._line_up()
        for (kind, owner), line in self._lines.items():
            message = next(iter(line))
            if accept(message, owner):
                del line[message], self._lines[kind, owner]
                if line:
                    self._lines[kind, owner] = line  # behind the others
                return message, owner
        return None

    def offer_again(self) -> None:
        """Let whoever receives look at messages again that were not accepted."""
        self._changed.set()

    def _line_up(self) -> None:
        while self._sent and self._sent[0][0] <= time.monotonic():
            _, _, message, owner = heapq.heappop(self._sent)
            self._lines.setdefault((type(message), owner), {})[message] = None

    async def retry_soon(self, receipt: str) -> None:
        pass  # messages have no receipts

    async def aclose(self) -> None:
        pass
