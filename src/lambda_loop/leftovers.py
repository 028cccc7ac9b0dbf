"""Nothing of one invocation may run into the next: what is still there when the app has answered is ended here."""

import asyncio
import inspect
import queue
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import Any

from .invocation import Invocation, Job, current_invocation, discard, servers
from .loop import SharedLoop
from .places import described, place

_ROUND = 0.05  # seconds between two cancels of the same task; some swallow the first in a `finally`
_LOOKS = 5  # for threads that have just finished, 2 ms apart
_kept = set[Any]()  # zombies: collected, each would be thrown a GeneratorExit in some later request


class Ending:
    """The end of one invocation; `alone` on Lambda, where what belongs to nobody is the invocation's too."""

    def __init__(self, loop: SharedLoop, invocation: Invocation, *, alone: bool) -> None:
        self._loop, self._invocation, self._alone = loop, invocation, alone
        self._report, self._me = invocation.report, asyncio.current_task()
        self._seen = set[Any]()
        self._cancelled = dict[Job, str]()
        self._closing = dict[Any, asyncio.Task[None]]()

    async def end(self, budget: float) -> None:
        """End tasks, generators and timers within `budget` seconds, then name and shut out what cannot be ended."""
        self._invocation.ending = True
        self._cancel_threads()
        end, rounds = self._loop.time() + budget, 0
        await self._turn(3)  # what is about to end by itself is no leftover
        while self._remains() or await self._appears():
            if rounds and self._loop.time() >= end:
                break
            rounds += 1
            await self._cancel()
        for remove, name in self._invocation.watched.items():
            if remove():
                self._report.leftovers.append(name)
        await self._take_off()
        self._cancel_elsewhere()
        await self._leave_threads()
        forget_imports(self._invocation)
        self._invocation.over = True
        startup = self._loop.startup  # this task goes on, for it
        current_invocation.set(startup if self._invocation is not startup else None)
        await self._turn(2)  # what was ready before has now run, and could schedule nothing
        self._loop.forget_cancelled_timers()

    def _tasks(self) -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks(self._loop) if task is not self._me and self._belongs(task)]

    def _belongs(self, task: asyncio.Task[Any]) -> bool:
        owner = task.get_context().get(current_invocation)
        return owner is self._invocation or (owner is None and self._alone)

    def _generators(self) -> list[Any]:
        """Asynchronous generators that have begun and not ended; one that is awaited ends with who awaits it."""
        begun = [each for each in self._invocation.generators if each.ag_frame is not None and not each.ag_running]
        return [each for each in begun if each not in self._closing]

    def _timers(self) -> list[asyncio.TimerHandle]:
        now = self._loop.time()  # what is due runs in the next turn
        return [timer for timer in self._invocation.timers.values() if not timer.cancelled() and timer.when() > now]

    def _remains(self) -> bool:
        return bool(self._tasks() or self._generators() or self._timers())

    async def _appears(self) -> bool:
        await self._turn(2)
        return self._remains()

    async def _turn(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    async def _cancel(self) -> None:
        for timer in self._timers():
            callback, args = timer._callback, timer._args  # type: ignore[attr-defined]
            begun = self._invocation.scheduled.get(id(timer), "")
            self._report.leftovers.append(f"callback {described(callback)}{begun}")
            timer.cancel()
            for given in (*args, *getattr(callback, "args", ())):
                discard(given)
        generators, closing = self._generators(), set(self._closing.values())
        tasks = self._tasks()
        for each in (*tasks, *generators):
            if each not in self._seen and each not in closing:
                self._report.leftovers.append(_name(each))
        for generator in generators:
            self._closing[generator] = self._loop.create_task(_close(generator), name=_name(generator))
        for task in tasks:
            if (
                task not in closing or task in self._seen
            ):  # a generator's clean-up is cancelled from its second round on
                task.cancel()
        self._seen.update(tasks, generators)
        if pending := {*tasks, *self._closing.values()}:
            await asyncio.wait(pending, timeout=_ROUND)

    async def _take_off(self) -> None:
        """Close tasks that swallow every cancel, and let asyncio forget them."""
        closed = self._tasks()
        for task in closed:
            self._report.zombies.append(f"{_name(task)} swallowed its cancels and was taken off the loop")
            with suppress(BaseException):
                task.get_coro().close()  # type: ignore[union-attr]
            task.cancel()
        await self._turn(2)
        for task in closed:
            if task.done() and not task.cancelled():
                task.exception()  # it is in the report, and no news
        for task in self._tasks():  # not even closing ended it: nothing of it is scheduled once this is over
            asyncio.tasks._unregister_task(task)
            _kept.add(task)
        for generator in [each for each in self._closing if each.ag_frame is not None]:
            self._report.zombies.append(f"{_name(generator)} would not be closed")
            _kept.add(generator)

    def _cancel_elsewhere(self) -> None:
        """Cancel tasks on loops of the user's own: they end when such a loop runs again."""
        for loop in [each for each in self._loop.others if not each.is_closed()]:
            for task in [
                each
                for each in asyncio.all_tasks(loop)
                if each.get_context().get(current_invocation) is self._invocation
            ]:
                self._report.zombies.append(f"{_name(task)} waits on a loop of its own, and was cancelled there")
                loop.call_soon_threadsafe(task.cancel)

    async def _leave_threads(self) -> None:
        """Threads cannot be killed: name them, and leave them the pool that they block."""
        self._cancel_threads()
        for _ in range(_LOOKS):
            if not (left := [job for job in self._jobs() if not self._serves(job)]):
                break
            await asyncio.sleep(0.002)  # one that has just finished is on its way out
        self._report.leftovers += [text for job, text in self._cancelled.items() if job not in left]
        self._report.zombies += [_still(job) for job in left]
        if self._alone and any(job.future is not None for job in left):
            self._loop.replace_pool()

    def _cancel_threads(self) -> None:
        """Cancel timers that have not fired, and jobs that no thread has taken yet."""
        for job in self._jobs():
            if isinstance(job.thread, threading.Timer):
                self._cancelled[job] = job.text
                job.thread.cancel()
            elif job.future is not None and job.future.cancel():
                self._cancelled[job] = job.text

    def _jobs(self) -> list[Job]:
        return [job for job in list(self._invocation.jobs) if job.future is None or not job.future.done()]

    def _serves(self, job: Job) -> bool:
        """Whether a thread waits without limit for what a later invocation gives it: it goes on, for that one."""
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
        servers[job.thread] = partial(getattr, self._loop, "active")
        self._invocation.jobs.discard(job)
        self._report.notes.append(f"{job.text} waits for work of later requests")
        return True


def forget_imports(invocation: Invocation) -> None:
    """Of a package whose import was broken off nothing stays: what is missing in it would be missing for ever."""
    for name in invocation.half_imported:
        for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            del sys.modules[module]


async def _close(generator: Any) -> None:
    with suppress(Exception):
        await generator.aclose()


def _name(thing: Any) -> str:
    if inspect.isasyncgen(thing):
        return f"generator {described(thing)}"
    name = str(thing.get_name())
    return name if name.startswith(("generator ", "task ")) else f"task {described(thing.get_coro())}"


def _still(job: Job) -> str:
    frame = sys._current_frames().get((job.thread and job.thread.ident) or 0)
    return f"{job.text} still works" + (f" at {place(frame)}" if frame is not None else "")
