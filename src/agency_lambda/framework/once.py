"""`@once`: a call that an attempt at a run has begun is not simply made again by the next one."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from functools import wraps
from typing import Any, Literal, overload

from agents import FunctionTool

from agency_lambda.framework.interruptions import RepeatRefused
from agency_lambda.framework.once_call import CallFailed, OnceCall, find_call, result

logger = logging.getLogger(__name__)
_WRONG_ORDER = "write @once below @function_tool: it takes the function, not the tool"
_ON_THE_LOOP = "{name} is synchronous and cannot wait on the event loop's thread: call it with asyncio.to_thread"

type OnLoop = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]
type Make = Callable[[], Awaitable[Any]]


class _Outcome(Enum):
    NOT_MADE = "not made"
    UNKNOWN = "unknown"


class _Once:
    """Record that a tool's function is called, and its outcome, so that no later attempt simply calls it again.

    If an attempt has ended in between, `reconcile` is asked, with the same arguments: it returns the outcome, or
    `once.NOT_MADE`. Without it, or if it raises, a person decides whether the call is made again.
    """

    NOT_MADE: Literal[_Outcome.NOT_MADE] = _Outcome.NOT_MADE
    CallFailed = CallFailed
    RepeatRefused = RepeatRefused

    @overload
    def __call__[**P, R](self, function: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def __call__[**P, R](
        self, *, reconcile: Callable[..., Any] | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def __call__(self, function: Any = None, *, reconcile: Callable[..., Any] | None = None) -> Any:
        if function is None:
            return lambda decorated: _wrap(decorated, reconcile)
        return _wrap(function, reconcile)


once = _Once()


def _wrap(function: Any, reconcile: Callable[..., Any] | None) -> Any:
    if isinstance(function, FunctionTool):
        raise TypeError(_WRONG_ORDER)
    return (_wrap_async if inspect.iscoroutinefunction(function) else _wrap_sync)(function, reconcile)


def _wrap_async(function: Callable[..., Awaitable[Any]], reconcile: Callable[..., Any] | None) -> Any:
    @wraps(function)
    async def called(*args: Any, **named: Any) -> Any:
        call = find_call(function, args, named)
        if call is None:
            return await function(*args, **named)

        async def on_loop(step: Coroutine[Any, Any, Any]) -> Any:
            if call.loop is asyncio.get_running_loop():
                return await step
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(step, call.loop))

        async def find() -> Any:
            assert reconcile
            found = await asyncio.to_thread(reconcile, *args, **named)
            return await found if inspect.isawaitable(found) else found

        return await _perform(call, lambda: function(*args, **named), find if reconcile else None, on_loop)

    return called


def _wrap_sync(function: Callable[..., Any], reconcile: Callable[..., Any] | None) -> Any:
    @wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        call = find_call(function, args, named)
        if call is None:
            return function(*args, **named)
        if call.loop is asyncio._get_running_loop():
            raise RuntimeError(_ON_THE_LOOP.format(name=function.__name__))

        async def on_loop(step: Coroutine[Any, Any, Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(step, call.loop).result()

        async def make() -> Any:
            return function(*args, **named)

        async def find() -> Any:
            assert reconcile
            found = reconcile(*args, **named)
            return await on_loop(found) if inspect.iscoroutine(found) else found

        return _complete(_perform(call, make, find if reconcile else None, on_loop))

    return called


def _complete(steps: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine whose awaits all complete at once, as they block this thread."""
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it was suspended")


async def _perform(call: OnceCall, make: Make, reconcile: Make | None, on_loop: OnLoop) -> Any:
    with call.at_work():
        is_begun = call.begun > 0  # by an earlier attempt
        while is_begun or not await on_loop(call.begin()):
            if (row := call.find()) is not None:
                return result(row)
            found = await _reconciled(reconcile)
            if not isinstance(found, _Outcome):
                return await on_loop(call.save(found))
            if found is _Outcome.UNKNOWN:
                await on_loop(call.ask())
            is_begun = False
        try:
            output = await make()
        except Exception as error:
            await on_loop(call.save_failure(error))
            raise
        return await on_loop(call.save(output))


async def _reconciled(reconcile: Make | None) -> Any:
    if reconcile is None:
        return _Outcome.UNKNOWN
    try:
        return await reconcile()
    except Exception:
        logger.exception("whether a call was made could not be found out: a person is asked")
        return _Outcome.UNKNOWN
