"""The end of code that catches everything and repeats it: a deadline that cannot be caught any more.

While it is on, an `except` or a `with` of the user's or of a library that is about to drop a DeadlineExceeded drops it
not: it goes on from there, past that `try`. Everything in between runs, `finally` and `__exit__` too.
"""

import dis
import sys
from types import CodeType

from .places import OWN, is_standard_file
from .report import DeadlineExceeded

_TOOL = 4  # of sys.monitoring's six; 0, 1, 2 and 5 are for debuggers, coverage, profilers and optimizers
_DROPS = dis.opmap["POP_EXCEPT"]
_watched = set[CodeType]()


def start() -> None:
    """Let nobody catch a DeadlineExceeded any more."""
    monitoring = sys.monitoring
    if monitoring.get_tool(_TOOL) is None:
        monitoring.use_tool_id(_TOOL, __name__)
        monitoring.register_callback(_TOOL, monitoring.events.EXCEPTION_HANDLED, _caught)
        monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, _goes_on)
        monitoring.set_events(_TOOL, monitoring.events.EXCEPTION_HANDLED)


def stop() -> None:
    """Let it be caught again."""
    monitoring = sys.monitoring
    if monitoring.get_tool(_TOOL) == __name__:
        monitoring.set_events(_TOOL, monitoring.events.NO_EVENTS)
        while _watched:
            monitoring.set_local_events(_TOOL, _watched.pop(), monitoring.events.NO_EVENTS)
        monitoring.free_tool_id(_TOOL)


def _caught(code: CodeType, offset: int, error: BaseException) -> None:
    is_asyncios = is_standard_file(code.co_filename) or code.co_filename.startswith(OWN)
    if isinstance(error, DeadlineExceeded) and not is_asyncios and code not in _watched:
        _watched.add(code)
        sys.monitoring.set_local_events(_TOOL, code, sys.monitoring.events.INSTRUCTION)


def _goes_on(code: CodeType, offset: int) -> None:
    error = sys.exception()
    if isinstance(error, BaseExceptionGroup):  # of `except*`
        error = error.subgroup(DeadlineExceeded)
    elif not isinstance(error, DeadlineExceeded):
        return
    if error is not None and code.co_code[offset] == _DROPS:
        raise error
