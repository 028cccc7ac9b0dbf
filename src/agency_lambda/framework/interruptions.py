"""What ends a run, or a part of it, past every `except Exception` on the way: the framework makes texts of those."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from agency_lambda.errors import Interruption
from lambda_loop import DeadlineExceeded


class AnswerNotStored(Interruption):
    """What was answered could not be stored, so it cannot be used."""


class AttemptOver(Interruption):
    """This attempt at the run has ended, or is another's by now: no model is asked for it, and no tool is called."""


class ProcessExitRaised(Exception):
    """Code of the agency raised what would end the process: SystemExit, KeyboardInterrupt, GeneratorExit or a group."""


_OURS = (asyncio.CancelledError, DeadlineExceeded, Interruption)


@contextmanager
def contain_exits() -> Iterator[None]:
    """Raise `ProcessExitRaised` for what the agency's code raises that is no Exception and no interruption of ours.

    SystemExit in a task would stop the event loop, and with it all other requests. Of a group of exceptions that holds
    an interruption, that one is raised.
    """
    task = asyncio.current_task()
    try:
        yield
    except BaseException as error:
        is_closing = isinstance(error, GeneratorExit) and asyncio.current_task() is not task
        if isinstance(error, (Exception, *_OURS)) or is_closing:
            raise
        if ours := _within(error):
            raise ours from error
        raise ProcessExitRaised(f"{type(error).__name__} was raised by the agency's own code") from error


def _within(error: BaseException) -> BaseException | None:
    """Return an interruption of ours that a group of exceptions holds."""
    if not isinstance(error, BaseExceptionGroup):
        return error if isinstance(error, _OURS) else None
    return next((found for each in error.exceptions if (found := _within(each))), None)
