"""The queue of one process, for its own worker."""

import asyncio
import os


class LocalQueue:
    # After a restart the worker finds its runs in the store. A Lambda has no worker beside its requests.
    durable = "AWS_LAMBDA_FUNCTION_NAME" not in os.environ

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, run_id: str, delay: float = 0.0) -> None:
        if delay:
            asyncio.get_running_loop().call_later(delay, self._waiting.put_nowait, run_id)
        else:
            self._waiting.put_nowait(run_id)

    async def receive(self) -> str:
        return await self._waiting.get()

    async def retry_soon(self, receipt: str) -> None:
        pass  # messages have no receipts

    async def aclose(self) -> None:
        pass
