"""Limits the messages to one recipient that are worked on side by side in a run."""

import asyncio
from collections import defaultdict, deque
from contextlib import suppress
from contextvars import ContextVar, Token
from threading import Lock
from types import TracebackType

_Waiting = deque[asyncio.Future[None]]


class MessageSlots:
    """The slots of a run's recipients, in the order of their messages, on any thread and event loop.

    Each depth of nested messages has slots of its own, so that no message waits for one that waits for it.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once, self._lock = at_once, Lock()
        self._taken: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._waiting: defaultdict[tuple[str, int], _Waiting] = defaultdict(deque)

    def slot(self, recipient: str) -> "Slot":
        return Slot(self, recipient)

    def slot_at_any_depth(self, name: str) -> "Slot":
        return Slot(self, name, at_any_depth=True)

    async def acquire(self, key: tuple[str, int]) -> None:
        with self._lock:
            if self._taken[key] < self._at_once:
                self._taken[key] += 1
                return
            future = asyncio.get_running_loop().create_future()
            self._waiting[key].append(future)
        try:
            await future
        except asyncio.CancelledError:
            self._forget(key, future)
            raise

    def release(self, key: tuple[str, int]) -> None:
        with self._lock:
            waiting = self._waiting[key]
            while waiting:
                future = waiting.popleft()
                with suppress(RuntimeError):  # its loop has been closed
                    future.get_loop().call_soon_threadsafe(_give, future)
                    return
            self._taken[key] -= 1

    def _forget(self, key: tuple[str, int], future: asyncio.Future[None]) -> None:
        with self._lock:
            was_given = future not in self._waiting[key]
            if not was_given:
                self._waiting[key].remove(future)
        if was_given:
            self.release(key)


class Slot:
    """One slot, from its acquisition until its message ends, or waits for a person or another run."""

    def __init__(self, slots: MessageSlots, recipient: str, *, at_any_depth: bool = False) -> None:
        self._outer = _slot.get()
        self._depth: int = 1 + self._outer._depth if self._outer else 1
        self._slots, self._is_held = slots, False
        self._key = (recipient, 0 if at_any_depth else self._depth)

    async def __aenter__(self) -> None:
        await self._slots.acquire(self._key)
        self._is_held = True
        self._token: Token[Slot | None] = _slot.set(self)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        _slot.reset(self._token)
        self.release()

    def release(self) -> None:
        held, self._is_held = self._is_held, False
        if held:
            self._slots.release(self._key)

    def release_all(self) -> None:
        self.release()
        if self._outer:
            self._outer.release_all()


_slot: ContextVar[Slot | None] = ContextVar("message_slot", default=None)


def release_slots() -> None:
    """Release the slots of the messages that this code is within: it waits, and does not go on in this attempt."""
    if slot := _slot.get():
        slot.release_all()


def _give(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
