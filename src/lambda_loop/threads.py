"""How an invocation is carried into other threads: whatever it starts there is known to it, and works for it."""

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

from .invocation import Invocation, Job, current_invocation, working_for
from .patches import Table, originals
from .places import here, is_users
from .report import InvocationOver

# A pool's thread serves many invocations: what belongs to one is the job that it was given.
_POOLS = (
    *("anyio._backends._asyncio", "concurrent.futures.thread", "concurrent.futures.process"),
    *("multiprocessing.pool", "multiprocessing.queues"),
)
_IMPORTED = ("multiprocessing.pool", "concurrent.futures.process", "anyio.to_thread")
_OF_A_POOL = ("apply_async", "map", "map_async", "starmap", "starmap_async", "imap", "imap_unordered")
_table: Table = {}


def table() -> Table:
    """Return what stands in whose place; that of libraries as they are imported."""
    if not _table:
        _table[_thread, "start_new_thread"] = _start_new_thread
        _table[ThreadPoolExecutor, "submit"] = _submit
        _table[Future, "add_done_callback"] = _add_done_callback
    pool, process, anyio = (sys.modules.get(name) for name in _IMPORTED)
    if pool and (pool.ThreadPool, "map") not in _table:
        _table.update({(pool.ThreadPool, name): _given(pool.ThreadPool, name) for name in _OF_A_POOL})
    if process and (process.ProcessPoolExecutor, "submit") not in _table:
        _table[process.ProcessPoolExecutor, "submit"] = _of_processes(process.ProcessPoolExecutor)
    if anyio and (anyio, "run_sync") not in _table:
        _table[anyio, "run_sync"] = _of_anyio(anyio)
    return _table


def start(thread: threading.Thread, starter: FrameType | None) -> None:
    """Thread.start, called in the frame `starter`."""
    invocation = working_for()
    if invocation is None or _is_pools(starter) or thread.ident is not None:
        return originals[threading.Thread, "start"](thread)  # type: ignore[no-any-return]
    target = thread.function if isinstance(thread, threading.Timer) else getattr(thread, "_target", None)
    job = Job(target or type(thread).run, thread)
    thread.run = _quiet(_carried(invocation, job, thread.run, "Thread.start()"))  # type: ignore[method-assign]
    with _begun(invocation, job):
        originals[threading.Thread, "start"](thread)


def _is_pools(starter: FrameType | None) -> bool:
    while starter is not None and starter.f_globals.get("__name__") == "multiprocessing.dummy":
        starter = starter.f_back
    return starter is not None and starter.f_globals.get("__name__") in _POOLS


def _start_new_thread(function: Callable[..., Any], *given: Any) -> Any:
    """_thread.start_new_thread."""
    start_new, invocation = originals[_thread, "start_new_thread"], working_for()
    if invocation is None:
        return start_new(function, *given)
    job = Job(function)
    carried = _quiet(_carried(invocation, job, function, "start_new_thread()"))
    with _begun(invocation, job):
        return start_new(carried, *given)


def _submit(pool: ThreadPoolExecutor, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
    """ThreadPoolExecutor.submit."""
    submit, invocation = originals[ThreadPoolExecutor, "submit"], working_for()
    if invocation is None:
        return submit(pool, copy_context().run, call, *args, **named)  # type: ignore[no-any-return]
    job = Job(call)
    carried = _carried(invocation, job, call, "submit()")
    with _begun(invocation, job):
        job.future = submit(pool, carried, *args, **named)
    return job.future  # type: ignore[no-any-return]


def _add_done_callback(future: Future[Any], callback: Callable[[Future[Any]], Any]) -> None:
    """Future.add_done_callback of concurrent.futures: it runs in the pool's thread, after the job."""
    if is_users(callback) and (invocation := working_for()) is not None:
        callback = _when_it_runs(invocation, callback, "add_done_callback()")
    originals[Future, "add_done_callback"](future, callback)


def _of_processes(owner: Any) -> Callable[..., Any]:
    """ProcessPoolExecutor.submit: what runs in another process gets no loop of ours; it is named and cancelled."""

    def submit(pool: Any, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = originals[owner, "submit"](pool, call, *args, **named)
        if (invocation := working_for()) is not None:
            invocation.jobs.add(Job(call, future=future))
        return future

    return submit


def _of_anyio(module: Any) -> Callable[..., Any]:
    """anyio.to_thread.run_sync, which carries the context by itself."""

    async def run_sync(call: Callable[..., Any], *given: Any, **options: Any) -> Any:
        if (invocation := working_for()) is not None:
            call = invocation.carry(Job(call), call)
        return await originals[module, "run_sync"](call, *given, **options)

    return run_sync


def _given(owner: Any, name: str) -> Callable[..., Any]:
    """A method of multiprocessing's ThreadPool that is given the user's function."""

    def method(pool: Any, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        invocation, given = working_for(), originals[owner, name]
        if invocation is None:
            return given(pool, call, *args, **named)
        door = f"ThreadPool.{name}()"
        for each in ("callback", "error_callback"):
            if callable(named.get(each)):
                named[each] = _when_it_runs(invocation, named[each], door)
        result = given(pool, _when_it_runs(invocation, call, door), *args, **named)
        if hasattr(result, "ready"):
            invocation.jobs.add(Job(call, future=_Result(result)))
        return result

    return method


class _Result(NamedTuple):
    """What multiprocessing gives for a job, asked as a future is."""

    result: Any

    def done(self) -> bool:
        """Return whether it has ended."""
        return bool(self.result.ready())

    def cancel(self) -> bool:
        """It cannot be taken back; if it has not begun, it is not begun any more once the invocation is over."""
        return False


def _when_it_runs(invocation: Invocation, call: Callable[..., Any], door: str) -> Callable[..., Any]:
    """The call, in a copy of this context each time, known to the invocation while it runs and not begun after it."""
    context = copy_context()
    return _quiet(lambda *args: context.copy().run(_carried, invocation, Job(call), call, door)(*args))


def _carried(invocation: Invocation, job: Job, call: Callable[..., Any], door: str) -> Callable[..., Any]:
    """The call as another thread is to run it: in a copy of this context, known to the invocation.

    Raises:
        InvocationOver: the invocation has ended, so it begins nothing.
    """
    if invocation.over:
        raise invocation.refuse(door)
    context = copy_context()
    if not is_users(job.call):
        job.place = here()
    context.run(current_invocation.set, invocation)
    return invocation.carry(job, partial(context.run, call))


@contextmanager
def _begun(invocation: Invocation, job: Job) -> Iterator[None]:
    """Forget a job that could not be begun."""
    try:
        yield
    except BaseException:
        invocation.jobs.discard(job)
        raise


def _quiet(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, ended without a traceback where it outlives its invocation."""

    def quiet(*args: Any, **named: Any) -> Any:
        with suppress(InvocationOver):
            return call(*args, **named)

    return quiet
