"""The ASGI lifespan of the app, which starts once per execution environment."""

import asyncio
from contextlib import suppress
from typing import Any

from .asgi import ASGIApp, Message
from .errors import EventLoopError

_SHUTDOWN = 2.0  # seconds for the app's shutdown


class Lifespan:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._received = ""
        self.state: dict[str, Any] = {}  # scope["state"] of the app's requests

    async def start(self) -> None:
        """Run the app's startup. Raises EventLoopError."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.create_task(self._run(scope), name="lifespan")
        await self._exchange("lifespan.startup")

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SHUTDOWN):
                    await self._exchange("lifespan.shutdown")
                    await self._task

    async def _run(self, scope: dict[str, Any]) -> None:
        try:
            await self._app(scope, self._receive, self._outbox.put)
        except BaseException as error:  # noqa: BLE001 - by ASGI, an app without a lifespan may raise
            failed = self._received or not isinstance(error, Exception)
            kind = f"{self._received or 'lifespan.startup'}.failed" if failed else "lifespan.unsupported"
            await self._outbox.put({"type": kind, "message": repr(error)})
        else:
            ended = f"{self._received}.failed" if self._received == "lifespan.startup" else "lifespan.unsupported"
            await self._outbox.put({"type": ended, "message": "the app ended instead of answering"})

    async def _receive(self) -> Message:
        message = await self._inbox.get()
        self._received = message["type"]
        return message

    async def _exchange(self, event: str) -> None:
        await self._inbox.put({"type": event})
        answer = await self._outbox.get()
        if answer["type"] not in (f"{event}.complete", "lifespan.unsupported"):
            raise EventLoopError(f"{event} failed: {answer.get('message') or _reason(answer['type'], event)}")


def _reason(answer: str, event: str) -> str:
    return "the app gave no reason" if answer == f"{event}.failed" else f"the app answered with {answer}"
