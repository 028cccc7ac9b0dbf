"""What must hold before an EnvironmentLoop is made."""

import asyncio
import sys
import warnings
from asyncio import events
from contextlib import suppress
from typing import Literal, get_args

from .errors import EventLoopError

Mode = Literal["patch", "strict"]


def check_preconditions(mode: str) -> None:
    """Raise EventLoopError for an unknown mode, another interpreter, a running loop, or uvloop."""
    if mode not in get_args(Mode):
        raise EventLoopError(f"mode {mode!r} is unknown: write 'patch' or 'strict'")
    if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 13):
        raise EventLoopError(
            f"the event loop is written for CPython 3.13, and this is {sys.version.split()[0]}: use 3.13"
        )
    if events._get_running_loop() is not None:
        raise EventLoopError("an event loop runs already: make the EnvironmentLoop at import, before any loop runs")
    if "uvloop" in sys.modules and _is_uvloop_installed():
        raise EventLoopError(
            "uvloop is in place, and nest_asyncio cannot patch it nor this environment own it: "
            "remove uvloop.install() or uvloop.EventLoopPolicy"
        )


def _is_uvloop_installed() -> bool:
    policy = asyncio.get_event_loop_policy()
    with suppress(RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # there is no loop yet: that is fine
        with suppress(DeprecationWarning):
            return any(_is_uvloops(each) for each in (policy, policy.get_event_loop()))
    return _is_uvloops(policy)


def _is_uvloops(thing: object) -> bool:
    return type(thing).__module__.partition(".")[0] == "uvloop"
