"""An event loop that can be run from inside itself, by nested calls and by the watchdog."""

import asyncio
import heapq
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import nest_asyncio


class ReentrantLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.pool: Executor | None = None
        self._own_pool: Executor | None = None
        self.save_settings()

    def run(self, future: Awaitable[Any]) -> Any:
        return _run(self, future)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        if self.pool is not None:
            with suppress(RuntimeError):  # the user's own, and shut down
                return super().run_in_executor(self.pool, func, *args)
        self.pool = self._own_pool = ThreadPoolExecutor(thread_name_prefix="asyncio")
        return super().run_in_executor(self.pool, func, *args)

    def set_default_executor(self, executor: Any) -> None:
        self.pool = executor

    def replace_pool(self) -> None:
        """Abandon the default pool; the next job makes a new one."""
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def save_settings(self) -> None:
        settings = self.get_exception_handler(), self.get_task_factory(), self.get_debug(), self.slow_callback_duration
        self._saved = *settings, self.pool

    def restore_settings(self) -> None:
        """Undo what the user's code has set since `save_settings`."""
        handler, factory, debug, self.slow_callback_duration, pool = self._saved
        self.set_exception_handler(handler)
        self.set_task_factory(factory)
        self.set_debug(debug)
        if self.pool is not self._own_pool:
            self.pool = pool

    def forget_cancelled_timers(self) -> None:
        """Drop the cancelled timers that nest_asyncio keeps."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        timers[:] = [timer for timer in timers if not timer.cancelled()]
        heapq.heapify(timers)


def _make_reentrant() -> Callable[..., Any]:
    loop = ReentrantLoop()
    nest_asyncio._patch_loop(loop)  # of `apply`, the part that changes the class of one loop and nothing of asyncio's
    loop.close()
    return ReentrantLoop.run_until_complete


_run = _make_reentrant()
sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))  # what hundreds of nested runs of an agency need
