"""A DeadlineExceeded that cannot be caught, for code that catches everything and tries again.

An `except` or `with` that would drop it raises it again, except in the standard library.
"""

import dis
import sys
from types import CodeType

from .errors import DeadlineExceeded
from .places import OWN, is_standard_file

_TOOL = 4  # of sys.monitoring's six; 0, 1, 2 and 5 are for debuggers, coverage, profilers and optimizers
_POP_EXCEPT = dis.opmap["POP_EXCEPT"]  # ends a handler, and drops its exception
_watched = set[CodeType]()


def start() -> None:
    monitoring = sys.monitoring
    if monitoring.get_tool(_TOOL) is None:
        monitoring.use_tool_id(_TOOL, __name__)
        monitoring.register_callback(_TOOL, monitoring.events.EXCEPTION_HANDLED, _on_caught)
        monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, _on_instruction)
        monitoring.set_events(_TOOL, monitoring.events.EXCEPTION_HANDLED)


def stop() -> None:
    monitoring = sys.monitoring
    if monitoring.get_tool(_TOOL) == __name__:
        monitoring.set_events(_TOOL, monitoring.events.NO_EVENTS)
        while _watched:
            monitoring.set_local_events(_TOOL, _watched.pop(), monitoring.events.NO_EVENTS)
        monitoring.free_tool_id(_TOOL)


def _on_caught(code: CodeType, offset: int, error: BaseException) -> None:
    is_asyncios = is_standard_file(code.co_filename) or code.co_filename.startswith(OWN)
    if isinstance(error, DeadlineExceeded) and not is_asyncios and code not in _watched:
        _watched.add(code)
        sys.monitoring.set_local_events(_TOOL, code, sys.monitoring.events.INSTRUCTION)


def _on_instruction(code: CodeType, offset: int) -> None:
    error = sys.exception()
    if isinstance(error, BaseExceptionGroup):  # of `except*`
        error = error.subgroup(DeadlineExceeded)
    elif not isinstance(error, DeadlineExceeded):
        return
    if error is not None and code.co_code[offset] == _POP_EXCEPT:
        raise error  # past that `try`; `finally` and `__exit__` in between run
