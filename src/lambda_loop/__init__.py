"""The event loop of an execution environment; works for any ASGI app.

    from lambda_loop import EnvironmentLoop

    handler = EnvironmentLoop(app, mode="patch")  # a Lambda handler

`environment` is the journey of a request; `stage` says where the app lies. `loop` is the one loop, `invocation` what
belongs to a request on it. `patches` puts `reentry` (the ways into a loop) and `threads` (what is begun elsewhere) in
asyncio's place. `watchdog` reaches a loop that synchronous code blocks, `leftovers` ends what a request leaves behind,
`ledger` remembers it all. docs/event-loop.md explains it.
"""

from .environment import EnvironmentLoop, log_ledger
from .invocation import Invocation, current
from .ledger import DeadlineExceeded, EventLoopConflict, EventLoopError, InvocationOver, Ledger
from .request import remaining

__all__ = [
    "DeadlineExceeded",
    "EnvironmentLoop",
    "EventLoopConflict",
    "EventLoopError",
    "Invocation",
    "InvocationOver",
    "Ledger",
    "current",
    "log_ledger",
    "remaining",
]
