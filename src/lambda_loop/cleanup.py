"""Whatever outlives the app's response is ended here, or shut out of the loop."""

import asyncio
import inspect
import queue
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import Any

from .invocation import Invocation, Job, current_invocation, discard_coroutine, shared_threads
from .loop import SharedLoop
from .places import describe, place

_ROUND = 0.05  # seconds between two cancels of the same task; some swallow the first in a `finally`
_CHECKS = 5  # for threads that have just finished, 2 ms apart
_zombies = set[Any]()  # collected, each would be thrown a GeneratorExit in some later request


class Cleanup:
    """Ends one invocation; if `exclusive`, also the tasks that belong to none."""

    def __init__(self, loop: SharedLoop, invocation: Invocation, *, exclusive: bool) -> None:
        self._loop, self._invocation, self._exclusive = loop, invocation, exclusive
        self._report, self._own_task = invocation.report, asyncio.current_task()
        self._owners = (invocation, None) if exclusive else (invocation,)
        self._seen = set[Any]()
        self._cancelled_jobs = dict[Job, str]()
        self._closing = dict[Any, asyncio.Task[None]]()

    async def run(self, budget: float) -> None:
        """End tasks, generators and timers within `budget` seconds; report and shut out the rest."""
        self._invocation.ending = True
        self._cancel_jobs()
        end, rounds = self._loop.time() + budget, 0
        await self._yield(5)  # what is about to end by itself is no leftover
        while self._has_leftovers() and (not rounds or self._loop.time() < end):
            rounds += 1
            await self._cancel()
            await self._yield(2)  # what has ended may have begun something
        for close, name in self._invocation.closers.items():
            if close():
                self._report.leftovers.append(name)
        await self._shut_out_zombies(self._tasks() if rounds else [])
        self._cancel_on_other_loops()
        await self._abandon_threads()
        _forget_imports(self._invocation)
        self._invocation.over = True
        startup = self._loop.startup  # this task goes on, as the startup's
        current_invocation.set(startup if self._invocation is not startup else None)
        await self._yield(2)  # what was ready before has now run, and could schedule nothing
        self._loop.forget_cancelled_timers()

    def _tasks(self) -> list[asyncio.Task[Any]]:
        # Under a server the loop has the tasks of all requests.
        tasks = [
            each for each in asyncio.all_tasks(self._loop) if each.get_context().get(current_invocation) in self._owners
        ]
        return [task for task in tasks if task is not self._own_task]

    def _generators(self) -> list[Any]:
        # A generator that is awaited ends with the task that awaits it.
        started = [each for each in self._invocation.generators if each.ag_frame is not None and not each.ag_running]
        return [each for each in started if each not in self._closing]

    def _timers(self) -> list[asyncio.TimerHandle]:
        now = self._loop.time()  # what is due runs in the loop's next iteration
        return [timer for timer in self._invocation.timers.values() if not timer.cancelled() and timer.when() > now]

    def _has_leftovers(self) -> bool:
        return bool(self._tasks() or self._generators() or self._timers())

    async def _yield(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    async def _cancel(self) -> None:
        for timer in self._timers():
            self._cancel_timer(timer)
        generators, closing = self._generators(), set(self._closing.values())
        tasks = self._tasks()
        for each in (*tasks, *generators):
            if each not in self._seen and each not in closing:
                self._report.leftovers.append(_name(each))
        for generator in generators:
            self._closing[generator] = self._loop.create_task(_close(generator), name=_name(generator))
        for task in tasks:
            if task not in closing or task in self._seen:  # what closes a generator may finish in its first round
                task.cancel()
        self._seen.update(tasks, generators)
        if pending := {*tasks, *self._closing.values()}:
            await asyncio.wait(pending, timeout=_ROUND)

    def _cancel_timer(self, timer: asyncio.TimerHandle) -> None:
        callback, args = timer._callback, timer._args  # type: ignore[attr-defined]
        place = self._invocation.timer_places.get(id(timer), "")
        self._report.leftovers.append(f"callback {describe(callback)}{place}")
        timer.cancel()
        for argument in (*args, *getattr(callback, "args", ())):
            discard_coroutine(argument)

    async def _shut_out_zombies(self, closed: list[asyncio.Task[Any]]) -> None:
        """Close tasks that swallow every cancel, and unregister those that go on."""
        for task in closed:
            self._report.zombies.append(f"{_name(task)} swallowed its cancels and was taken off the loop")
            with suppress(BaseException):
                task.get_coro().close()  # type: ignore[union-attr]
            task.cancel()
        await self._yield(2)
        for task in closed:
            if task.done() and not task.cancelled():
                task.exception()  # marks it as retrieved: the task is in the report
        for task in self._tasks():
            asyncio.tasks._unregister_task(task)
            _zombies.add(task)
        for generator in [each for each in self._closing if each.ag_frame is not None]:
            self._report.zombies.append(f"{_name(generator)} would not be closed")
            _zombies.add(generator)

    def _cancel_on_other_loops(self) -> None:
        for loop in [each for each in self._loop.others if not each.is_closed()]:
            for task in asyncio.all_tasks(loop):
                if task.get_context().get(current_invocation) is self._invocation:
                    self._report.zombies.append(f"{_name(task)} waits on a loop of its own, and was cancelled there")
                    loop.call_soon_threadsafe(task.cancel)  # seen when that loop runs again

    async def _abandon_threads(self) -> None:
        # Threads cannot be killed: they are reported, and the pool that they block is replaced.
        self._cancel_jobs()
        for _ in range(_CHECKS):
            if not (left := [job for job in self._jobs() if not self._waits_for_later_work(job)]):
                break
            await asyncio.sleep(0.002)  # one may have just finished
        self._report.leftovers += [text for job, text in self._cancelled_jobs.items() if job not in left]
        self._report.zombies += [_describe_running(job) for job in left]
        if self._exclusive and any(job.future is not None for job in left):
            self._loop.replace_pool()

    def _cancel_jobs(self) -> None:
        for job in self._jobs():
            if isinstance(job.thread, threading.Timer):
                self._cancelled_jobs[job] = job.description
                job.thread.cancel()
            elif job.future is not None and job.future.cancel():
                self._cancelled_jobs[job] = job.description

    def _jobs(self) -> list[Job]:
        return [job for job in list(self._invocation.jobs) if job.future is None or not job.future.done()]

    def _waits_for_later_work(self, job: Job) -> bool:
        """Return whether a thread waits in Queue.get() without limit, and let it serve later invocations."""
        if job.thread is None or job.future is not None:
            return False
        frame = sys._current_frames().get(job.thread.ident or 0)
        while frame is not None and frame.f_code.co_filename == threading.__file__:
            frame = frame.f_back
        waits = frame is not None and frame.f_code is queue.Queue.get.__code__
        if frame is None or not waits or not frame.f_locals["block"] or frame.f_locals["timeout"] is not None:
            return False
        if not frame.f_locals["self"].empty():  # a job of this invocation, which it is about to take
            return False
        shared_threads[job.thread] = partial(getattr, self._loop, "active")
        self._invocation.jobs.discard(job)
        self._report.notes.append(f"{job.description} waits for work of later requests")
        return True


def _forget_imports(invocation: Invocation) -> None:
    for name in invocation.half_imported:
        for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            del sys.modules[module]


async def _close(generator: Any) -> None:
    with suppress(Exception):
        await generator.aclose()


def _name(thing: Any) -> str:
    if inspect.isasyncgen(thing):
        return f"generator {describe(thing)}"
    name = str(thing.get_name())
    return name if name.startswith(("generator ", "task ")) else f"task {describe(thing.get_coro())}"


def _describe_running(job: Job) -> str:
    frame = sys._current_frames().get((job.thread and job.thread.ident) or 0)
    return f"{job.description} still works" + (f" at {place(frame)}" if frame is not None else "")
