"""Nothing of one invocation may run into the next: what is still there when the app has answered is ended here."""

import asyncio
import heapq
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import thread as pool
from contextlib import suppress
from types import FrameType
from typing import Any

from .ledger import Invocation, Ledger, code_place, current, is_library, is_library_module, place

_ROUND = 0.05  # seconds between two cancels of the same task; some swallow the first in a `finally`
_off = set[asyncio.Task[Any]]()  # zombies: referenced, or the garbage collector would complain about each


async def end_tasks(loop: Any, belongs: Callable[[asyncio.Task[Any]], bool], ledger: Ledger, budget: float) -> None:
    """Cancel the tasks that belong to the invocation, again and again until they are gone or `budget` seconds are.

    What swallows every cancel is closed and taken off the loop, so that it never runs again, and named a zombie.
    """
    me, end, seen = asyncio.current_task(), loop.time() + budget, set[asyncio.Task[Any]]()

    def left() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks(loop) if task is not me and task not in _off and belongs(task)]

    for _ in range(3):  # what is about to end by itself is no leftover
        await asyncio.sleep(0)
        if not left():
            return
    while (tasks := left()) and (not seen or loop.time() < end):
        ledger.leftovers += [_name(task) for task in tasks if task not in seen]
        seen.update(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_ROUND)
    stubborn = left()
    ledger.zombies += [f"{_name(task)} swallowed its cancels and was taken off the loop" for task in stubborn]
    for task in stubborn:
        with suppress(BaseException):
            task.get_coro().close()  # type: ignore[union-attr]
        task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in left():  # not even closing ended it
        _take_off(loop, task)


def end_callbacks(loop: Any, invocation: Invocation) -> None:
    """Cancel what the invocation scheduled on the loop; drop cancelled timers, which nest_asyncio keeps.

    A library's own callbacks stay: a shared client's connection has to be closed by somebody.
    """
    for handle in [*loop._scheduled, *loop._ready]:
        if handle.cancelled() or handle._context.get(current) is not invocation:
            continue
        callback = getattr(handle._callback, "func", handle._callback)  # functools.partial
        if not is_library_module(str(getattr(callback, "__module__", ""))):
            invocation.ledger.leftovers.append(f"callback {getattr(callback, '__qualname__', callback)}")
            handle.cancel()
    live = [timer for timer in loop._scheduled if not timer.cancelled()]
    heapq.heapify(live)
    loop._scheduled, loop._timer_cancelled_count = live, 0


def close_generators(loop: Any, keep: Iterable[Any]) -> None:
    """Begin to close abandoned asynchronous generators: left to the collector they would end in a later request."""
    for generator in set(loop._asyncgens).difference(keep):
        if not generator.ag_running:
            loop.create_task(_close(generator), name=f"generator {generator.__qualname__}")


async def _close(generator: Any) -> None:
    with suppress(Exception):
        await generator.aclose()


def busy_threads(known: set[threading.Thread]) -> dict[threading.Thread, str]:
    """Threads not in `known` that are at the user's work, described. No thread can be killed."""
    frames, me = sys._current_frames(), threading.current_thread()
    standing = {t: frames.get(t.ident or 0) for t in set(threading.enumerate()) - known if t is not me}
    return {t: f"thread {t.name} still works at {place(frame)}" for t, frame in standing.items() if _is_busy(frame)}


def _is_busy(frame: FrameType | None) -> bool:
    """A pool's worker in a job, or a thread of the user's own; not one that waits for its next job."""
    stack = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    if any(each.f_code is pool._WorkItem.run.__code__ for each in stack):
        return True
    within = [each for each in stack if each.f_code.co_filename != threading.__file__]
    if within and within[0].f_code.co_filename == queue.__file__:
        return False
    return any(not is_library(each) for each in stack)


def _name(task: asyncio.Task[Any]) -> str:
    coro: Any = task.get_coro()
    if task.get_name().startswith("generator "):
        return task.get_name()
    return f"task {getattr(coro, '__qualname__', coro)} ({code_place(getattr(coro, 'cr_code', None))})"


def _take_off(loop: Any, task: Any) -> None:
    """Cut every wire that could wake a task, and strike it off asyncio's own list."""
    waiter = task._fut_waiter
    for callback, _ in list(waiter._callbacks or ()) if waiter is not None else ():
        if getattr(callback, "__self__", None) is task:
            waiter.remove_done_callback(callback)
    for handle in loop._ready:
        if getattr(handle._callback, "__self__", None) is task:
            handle.cancel()
    task._log_destroy_pending = False
    asyncio.tasks._unregister_task(task)
    _off.add(task)
