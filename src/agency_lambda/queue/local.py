"""The embedded queue: it wakes the worker of this process, if it has one."""

import asyncio
import os


class LocalQueue:
    """Implements `Queue`. Nothing is kept here: after a restart the worker finds in the store what is to be done."""

    # A Lambda has no worker beside its requests, and nothing runs in it between them.
    durable = "AWS_LAMBDA_FUNCTION_NAME" not in os.environ

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, run: str, delay: float = 0.0) -> None:
        if delay:
            asyncio.get_running_loop().call_later(delay, self._waiting.put_nowait, run)
        else:
            self._waiting.put_nowait(run)

    async def receive(self) -> str:
        """The next run that somebody should work on."""
        return await self._waiting.get()

    async def retry_soon(self, receipt: str) -> None:
        """There are no receipts here."""

    async def aclose(self) -> None:
        pass
