"""Interruptions of a run, which no `except Exception` of the framework catches."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from agency_lambda.errors import Interruption
from lambda_loop import DeadlineExceeded


class AnswerNotStored(Interruption):
    """An answer could not be stored."""


class AttemptOver(Interruption):
    """The attempt has ended or lost its lease."""


class RunWaits(Interruption):
    """Nothing of the run can go on before a person has decided."""


class RepeatRefused(Interruption):
    """Nobody knows whether a call was carried out, and a person does not want it made again.

    The tool ends, and the model gets the text. No `except Exception` of the tool catches it.
    """


class ProcessExitRaised(Exception):
    """The agency's code raised a BaseException such as SystemExit."""


_INTERRUPTIONS = (asyncio.CancelledError, DeadlineExceeded, Interruption)


@contextmanager
def contain_exits() -> Iterator[None]:
    """Raise ProcessExitRaised for a BaseException of the agency, or the interruption in its group."""
    # SystemExit in a task would stop the event loop and all other requests.
    task = asyncio.current_task()
    try:
        yield
    except BaseException as error:
        is_closing = isinstance(error, GeneratorExit) and asyncio.current_task() is not task
        if isinstance(error, (Exception, *_INTERRUPTIONS)) or is_closing:
            raise
        if interruption := _find_interruption(error):
            raise interruption from error
        raise ProcessExitRaised(f"{type(error).__name__} was raised by the agency's own code") from error


def _find_interruption(error: BaseException) -> BaseException | None:
    if not isinstance(error, BaseExceptionGroup):
        return error if isinstance(error, _INTERRUPTIONS) else None
    return next((found for each in error.exceptions if (found := _find_interruption(each))), None)
