"""The open calls of a run, and when none of them can go on without a person or another run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from typing import Any, NoReturn

from agency_lambda.framework.interruptions import RunWaits
from agency_lambda.framework.message_slots import release_slots
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.messages import Message

type Request = ApprovalRequest | Message
"""What a call waits for: a person, or an agent whose run is another one."""

_PAUSE = 0.1  # seconds without a change before a run waits: code between two calls is not seen
_ITERATIONS = 20  # of the event loop, in the same time: a slow machine may make none in it


class _Call:
    __slots__ = ("children", "is_open", "parent")

    def __init__(self, parent: "_Call | None") -> None:
        self.parent, self.children, self.is_open = parent, 0, True


_current: ContextVar[_Call | None] = ContextVar("open_call", default=None)


class OpenCalls:
    """The tree of calls: agents' turns, tools, guardrails.

    A call is active unless it waits for a request or for calls within it. Calls may be on several threads and loops.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._active = 0  # calls with no call within them that do not wait; at 0 nothing goes on
        self._changes = 0
        self._requests: dict[asyncio.Future[None], Request] = {}
        self.waits = False
        self.requests: tuple[Request, ...] = ()  # for which the run waits, in the order in which they were made

    @contextmanager
    def call(self) -> Iterator[None]:
        call = _Call(_current.get())
        token = _current.set(call)
        self._change(call, 1)
        try:
            yield
        finally:
            _current.reset(token)
            self._change(call, -1)

    async def run[T](self, attempt: Awaitable[T]) -> T | None:
        """Return None if the run waits, whatever code that has caught RunWaits made of it."""
        result = None
        try:
            with self.call():
                result = await attempt
        except BaseException:
            if not self.waits or _is_cancelled():
                raise
        return None if self.waits else result

    def check(self) -> None:
        """Raise RunWaits if the run waits: code that has caught it must not go on."""
        if self.waits:
            raise RunWaits

    def checked(self, authorize: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def authorize_call() -> None:
            self.check()
            await authorize()

        return authorize_call

    async def wait(self, request: Request) -> NoReturn:
        """Wait until nothing else of the run can go on.

        Raises:
            RunWaits: always.
        """
        call, future = _Call(_current.get()), asyncio.get_running_loop().create_future()
        release_slots()  # or messages that wait for a slot could wait for the person too
        with self._lock:
            self._requests[future] = request
        self._change(call, 1, active=0)
        try:
            while not (future.done() or self.waits):
                await self._pause(future)
        finally:
            with self._lock:
                self._requests.pop(future, None)
            self._change(call, -1, active=0)
        raise RunWaits

    async def _pause(self, future: asyncio.Future[None]) -> None:
        changes = self._changes
        await asyncio.wait((future,), timeout=_PAUSE)
        if self._active:
            return
        for _ in range(_ITERATIONS):
            await asyncio.sleep(0)
        with self._lock:
            if self.waits or self._active or changes != self._changes:
                return
            self.waits, self.requests = True, tuple(self._requests.values())
            waiting = [*self._requests]
        for each in waiting:
            with suppress(RuntimeError):  # its loop has been closed
                each.get_loop().call_soon_threadsafe(_end, each)

    def _change(self, call: _Call, by: int, active: int = 1) -> None:
        """Add or remove a call. active: 0 for one that waits for a request."""
        with self._lock:
            self._changes += 1
            call.is_open = by > 0
            self._active += by * active if not call.children else 0
            if (parent := call.parent) is None:
                return
            was_leaf = not parent.children
            parent.children += by
            if parent.is_open and was_leaf != (not parent.children):
                self._active -= by


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _end(future: Any) -> None:
    if not future.done():
        future.set_result(None)
