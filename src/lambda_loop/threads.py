"""Threads and jobs of pools, which belong to the invocation that starts them.

The functions here replace those that start threads.
"""

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from .errors import InvocationOver
from .invocation import Invocation, Job, current_invocation, owning_invocation
from .patches import Replacements, originals
from .places import current_place, is_user_code

# Modules that start the threads of pools: these threads serve many invocations, and the job is what belongs to one.
_POOLS = (
    *("anyio._backends._asyncio", "concurrent.futures.thread", "concurrent.futures.process"),
    *("multiprocessing.pool", "multiprocessing.queues"),
)
_IMPORTED = ("multiprocessing.pool", "concurrent.futures.process", "anyio.to_thread")
_THREAD_POOL_METHODS = ("apply_async", "map", "map_async", "starmap", "starmap_async", "imap", "imap_unordered")
_replacements: Replacements = {}


def replacements() -> Replacements:
    if not _replacements:
        _replacements[_thread, "start_new_thread"] = _start_new_thread
        _replacements[ThreadPoolExecutor, "submit"] = _submit
        _replacements[Future, "add_done_callback"] = _add_done_callback
    pool, process, anyio = (sys.modules.get(name) for name in _IMPORTED)
    if pool and (pool.ThreadPool, "map") not in _replacements:
        methods = {(pool.ThreadPool, name): _pool_method(pool.ThreadPool, name) for name in _THREAD_POOL_METHODS}
        _replacements.update(methods)
    if process and (process.ProcessPoolExecutor, "submit") not in _replacements:
        _replacements[process.ProcessPoolExecutor, "submit"] = _process_submit(process.ProcessPoolExecutor)
    if anyio and (anyio, "run_sync") not in _replacements:
        _replacements[anyio, "run_sync"] = _anyio_run_sync(anyio)
    return _replacements


def start(thread: threading.Thread, caller: FrameType | None) -> None:
    """Replace Thread.start, called by the frame `caller`."""
    invocation = owning_invocation()
    if invocation is None or _is_pool(caller) or thread.ident is not None:
        return originals[threading.Thread, "start"](thread)  # type: ignore[no-any-return]
    target = thread.function if isinstance(thread, threading.Timer) else getattr(thread, "_target", None)
    job = Job(target or type(thread).run, thread)
    thread.run = _quiet(_tracked(invocation, job, thread.run, "Thread.start()"))  # type: ignore[method-assign]
    with _untracked_on_error(invocation, job):
        originals[threading.Thread, "start"](thread)


def _is_pool(caller: FrameType | None) -> bool:
    while caller is not None and caller.f_globals.get("__name__") == "multiprocessing.dummy":
        caller = caller.f_back
    return caller is not None and caller.f_globals.get("__name__") in _POOLS


def _start_new_thread(function: Callable[..., Any], *args: Any) -> Any:
    start_new, invocation = originals[_thread, "start_new_thread"], owning_invocation()
    if invocation is None:
        return start_new(function, *args)
    job = Job(function)
    tracked = _quiet(_tracked(invocation, job, function, "start_new_thread()"))
    with _untracked_on_error(invocation, job):
        return start_new(tracked, *args)


def _submit(pool: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
    submit, invocation = originals[ThreadPoolExecutor, "submit"], owning_invocation()
    if invocation is None:
        return submit(pool, copy_context().run, function, *args, **named)  # type: ignore[no-any-return]
    job = Job(function)
    tracked = _tracked(invocation, job, function, "submit()")
    with _untracked_on_error(invocation, job):
        job.future = submit(pool, tracked, *args, **named)
    return job.future  # type: ignore[no-any-return]


def _add_done_callback(future: Future[Any], callback: Callable[[Future[Any]], Any]) -> None:
    if is_user_code(callback) and (invocation := owning_invocation()) is not None:
        callback = _tracked_per_call(invocation, callback, "add_done_callback()")
    originals[Future, "add_done_callback"](future, callback)


def _process_submit(owner: Any) -> Callable[..., Any]:
    # What runs in another process gets no loop of ours; it is named and cancelled at the end.
    def submit(pool: Any, function: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = originals[owner, "submit"](pool, function, *args, **named)
        if (invocation := owning_invocation()) is not None:
            invocation.jobs.add(Job(function, future=future))
        return future

    return submit


def _anyio_run_sync(module: Any) -> Callable[..., Any]:
    async def run_sync(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if (invocation := owning_invocation()) is not None:
            function = invocation.track(Job(function), function)
        return await originals[module, "run_sync"](function, *args, **options)

    return run_sync


def _pool_method(owner: Any, name: str) -> Callable[..., Any]:
    def method(pool: Any, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        invocation, original = owning_invocation(), originals[owner, name]
        if invocation is None:
            return original(pool, function, *args, **named)
        call = f"ThreadPool.{name}()"
        for each in ("callback", "error_callback"):
            if callable(named.get(each)):
                named[each] = _tracked_per_call(invocation, named[each], call)
        result = original(pool, _tracked_per_call(invocation, function, call), *args, **named)
        if hasattr(result, "ready"):
            invocation.jobs.add(Job(function, future=_PoolFuture(result)))
        return result

    return method


class _PoolFuture(NamedTuple):
    result: Any

    def done(self) -> bool:
        return bool(self.result.ready())

    def cancel(self) -> bool:
        return False  # the pool cannot cancel; a job that starts after the invocation's end is refused


def _tracked_per_call(invocation: Invocation, function: Callable[..., Any], call: str) -> Callable[..., Any]:
    """Return `function` so that each call is a job of its own."""
    context = copy_context()
    return _quiet(lambda *args: context.copy().run(_tracked, invocation, Job(function), function, call)(*args))


def _tracked(invocation: Invocation, job: Job, function: Callable[..., Any], call: str) -> Callable[..., Any]:
    """Return `function` as a job, in a copy of this context. Raises InvocationOver."""
    if invocation.over:
        raise invocation.over_error(call)
    context = copy_context()
    if not is_user_code(job.function):
        job.place = current_place()
    context.run(current_invocation.set, invocation)
    return invocation.track(job, partial(context.run, function))


@contextmanager
def _untracked_on_error(invocation: Invocation, job: Job) -> Iterator[None]:
    try:
        yield
    except BaseException:
        invocation.jobs.discard(job)
        raise


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` so that InvocationOver prints no traceback."""

    def quiet(*args: Any, **named: Any) -> Any:
        with suppress(InvocationOver):
            return function(*args, **named)

    return quiet
