"""The queue of one process, for its own worker."""

import asyncio
import heapq
import os
import time
from itertools import count

from agency_lambda.queue.messages import Message


class LocalQueue:
    # After a restart the worker finds its runs in the store. A Lambda has no worker beside its requests.
    durable = "AWS_LAMBDA_FUNCTION_NAME" not in os.environ

    def __init__(self) -> None:
        self._sent: asyncio.Queue[tuple[float, int, Message]] = asyncio.Queue()
        self._waiting: list[tuple[float, int, Message]] = []  # a heap, by when each is due
        self._numbers = count()

    async def send(self, message: Message, delay: float = 0.0) -> None:
        self._sent.put_nowait((time.monotonic() + delay, next(self._numbers), message))

    async def receive(self) -> Message:
        # The worker waits for what is due: a timer of the request that has sent it would end with the request.
        while not self._waiting or self._waiting[0][0] > time.monotonic():
            pause = self._waiting[0][0] - time.monotonic() if self._waiting else None
            try:
                async with asyncio.timeout(pause):
                    heapq.heappush(self._waiting, await self._sent.get())
            except TimeoutError:
                pass
        return heapq.heappop(self._waiting)[2]

    async def retry_soon(self, receipt: str) -> None:
        pass  # messages have no receipts

    async def aclose(self) -> None:
        pass
