"""The event loop of an execution environment; works for any ASGI app.

    from lambda_loop import EnvironmentLoop

    handler = EnvironmentLoop(app, mode="patch")  # a Lambda handler

`environment_loop` answers a request; `stage` says where the app lies. `loop` is the one loop, `invocation` what belongs
to a request on it. `patches` puts `reentry` (the ways into a loop) and `threads` (what is begun elsewhere) in asyncio's
place. `watchdog` interrupts a loop that synchronous code blocks, `leftovers` ends what a request leaves behind,
`report` records it all. docs/event-loop.md explains it.
"""

from .environment_loop import EnvironmentLoop, log_report
from .invocation import Invocation, current_invocation
from .report import DeadlineExceeded, EventLoopConflict, EventLoopError, InvocationOver, InvocationReport
from .request import seconds_remaining

__all__ = [
    "DeadlineExceeded",
    "EnvironmentLoop",
    "EventLoopConflict",
    "EventLoopError",
    "Invocation",
    "InvocationOver",
    "InvocationReport",
    "current_invocation",
    "log_report",
    "seconds_remaining",
]
