"""Processes that share a store, in every order of their calls of it, as far as few of them are interrupted.

    for order in orders(interruptions=2):
        processes = [order.process(make(order.store(store, n))) for n in ...]; await order.play(*processes)

A process runs until it ends, unless it is interrupted before one of its calls. `play` of the next order differs in one
choice from one that was played.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from itertools import pairwise
from typing import Any

from agency_lambda.store import Store


class Order:
    """choices: of the processes, call by call; behind them each goes on until it ends. dies_at: calls of process 0."""

    def __init__(self, choices: list[int], dies_at: int = 0) -> None:
        self._choices, self._dies_at = choices, dies_at
        self._parked: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self.taken: list[int] = []
        self.enabled: list[list[int]] = []
        self.died = False

    def store(self, store: Store, process: int) -> Any:
        return _Turns(store, self, process)

    async def reach(self, process: int) -> None:
        assert process not in self._parked, "a process makes one call at a time"
        turn = self._parked[process] = asyncio.Event()
        self._changed.set()
        await turn.wait()

    async def play(self, *processes: Coroutine[Any, Any, Any]) -> None:
        tasks = [asyncio.ensure_future(each) for each in processes]
        for task in tasks:
            task.add_done_callback(lambda _: self._changed.set())
        current = 0
        while left := [number for number, task in enumerate(tasks) if not task.done()]:
            if not all(number in self._parked for number in left):
                self._changed.clear()
                await self._changed.wait()
                continue
            step = len(self.taken)
            chosen = self._choices[step] if step < len(self._choices) else current if current in left else left[0]
            self.taken.append(chosen)
            self.enabled.append(left)
            current = chosen
            if chosen == 0 and self._dies_at and self.taken.count(0) == self._dies_at:
                self.died = True
                tasks[0].cancel()
                del self._parked[0]
                await asyncio.wait({tasks[0]})
                continue
            self._parked.pop(chosen).set()
        for task in tasks:
            if not task.cancelled():
                task.result()

    def others(self, interruptions: int) -> list[list[int]]:
        """Return the choices that differ from what was played in one place behind its own choices."""
        found = []
        for step in range(len(self._choices), len(self.taken)):
            for other in self.enabled[step]:
                choices = [*self.taken[:step], other]
                if other != self.taken[step] and self._interrupted(choices) <= interruptions:
                    found.append(choices)
        return found

    def _interrupted(self, choices: list[int]) -> int:
        pairs = enumerate(pairwise(choices), 1)
        return sum(after != before and before in self.enabled[step] for step, (before, after) in pairs)


class _Turns:
    """The store of one process, which makes its calls when it is its turn."""

    def __init__(self, store: Store, order: Order, process: int) -> None:
        self._store, self._order, self._process = store, order, process

    def __getattr__(self, name: str) -> Any:
        async def called(*args: Any, **named: Any) -> Any:
            await self._order.reach(self._process)
            return await getattr(self._store, name)(*args, **named)

        return called


async def orders(interruptions: int, dies_at: int = 0) -> AsyncIterator[Order]:
    left: list[list[int]] = [[]]
    while left:
        order = Order(left.pop(), dies_at)
        yield order
        left += order.others(interruptions)
