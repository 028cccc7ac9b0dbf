"""Nothing of one invocation may run into the next: what is still there when the app has answered is ended here."""

import asyncio
import heapq
import queue
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import thread as pool
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from .ledger import Invocation, Ledger, code_place, current, is_library, is_library_module, place

_ROUND = 0.05  # seconds between two cancels of the same task; some swallow the first in a `finally`
_off = set[asyncio.Task[Any]]()  # zombies: referenced, or the garbage collector would complain about each


@dataclass(frozen=True)
class Work:
    """What a thread is at. `job`: the frame that stands as long as it is at the same; None when it has not begun."""

    text: str
    job: FrameType | None


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
    for task in left():
        if task in stubborn:  # not even closing ended it
            _take_off(loop, task)
        else:  # it has only just come
            task.cancel()


def end_callbacks(loop: Any, invocation: Invocation) -> None:
    """Cancel what the invocation scheduled on the loop; drop cancelled timers, which nest_asyncio keeps.

    asyncio's and a library's own callbacks stay: a shared client's connection has to be closed by somebody.
    """
    for handle in [*loop._scheduled, *loop._ready]:
        if handle.cancelled() or handle._context.get(current) is not invocation:
            continue
        callback = getattr(handle._callback, "func", handle._callback)  # functools.partial
        if not _belongs_to_client(str(getattr(callback, "__module__", ""))):
            invocation.ledger.leftovers.append(f"callback {getattr(callback, '__qualname__', callback)}")
            handle.cancel()
    live = [timer for timer in loop._scheduled if not timer.cancelled()]
    heapq.heapify(live)
    loop._scheduled, loop._timer_cancelled_count = live, 0


def forget_imports(invocation: Invocation) -> None:
    """Of a package whose import was broken off nothing stays: what is missing in it would be missing for ever."""
    for name in invocation.half_imported:
        for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            del sys.modules[module]


def _belongs_to_client(module: str) -> bool:
    root = module.partition(".")[0]
    return is_library_module(module) and (root not in sys.stdlib_module_names or root in ("asyncio", "_asyncio"))


def close_generators(loop: Any, generators: Mapping[Any, Invocation | None], keep: Invocation) -> None:
    """Begin to close abandoned asynchronous generators: left to the collector they would end in a later request."""
    for generator, owner in list(generators.items()):
        if owner is not keep and not generator.ag_running:
            loop.create_task(_close(generator), name=f"generator {generator.__qualname__}")


async def _close(generator: Any) -> None:
    with suppress(Exception):
        await generator.aclose()


def jobs_on_their_way() -> bool:
    """Whether a pool's thread may have been given a job that no frame of it shows yet.

    It can be stopped where it holds the job in no variable. But then its pool does not count it as idle; and it is
    not idle either while it starts, or when its pool has been forgotten.
    """
    frames = sys._current_frames()
    at_work, idle = Counter[Any](), dict[Any, int]()
    for thread in list(pool._threads_queues):
        frame, begun = frames.get(thread.ident or 0), False
        while frame is not None and frame.f_code is not pool._worker.__code__:
            begun, frame = begun or frame.f_code is pool._WorkItem.run.__code__, frame.f_back
        executor = frame.f_locals["executor_reference"]() if frame is not None else None
        if executor is not None:
            at_work[executor] += begun
            idle[executor] = executor._idle_semaphore._value
        elif thread.is_alive() and not begun:
            return True
    return any(at_work[each] + count < len(each._threads) for each, count in idle.items())


def busy_threads(known: set[threading.Thread]) -> dict[threading.Thread, Work]:
    """Threads not in `known` that are at the user's work. No thread can be killed."""
    frames, me = sys._current_frames(), threading.current_thread()
    others = [thread for thread in set(threading.enumerate()) - known if thread is not me]
    found = {thread: _work(thread, frames.get(thread.ident or 0)) for thread in others}
    return {thread: work for thread, work in found.items() if work is not None}


def _work(thread: threading.Thread, frame: FrameType | None) -> Work | None:
    """A pool's worker in or before a job, or a thread of the user's own; None for one that waits for its next job."""
    text = f"thread {thread.name} still works at {place(frame)}"
    stack = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    for each in stack:
        if each.f_code is pool._WorkItem.run.__code__:
            return Work(text, each)
    jobs = pool._threads_queues.get(thread)
    if jobs is not None and not jobs.empty():
        return Work(f"thread {thread.name} has a job left", None)
    within = [each for each in stack if each.f_code.co_filename != threading.__file__]
    if within and within[0].f_code.co_filename == queue.__file__:
        return None
    users = [each for each in stack if not is_library(each)]
    return Work(text, users[-1]) if users else None


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
