"""The event loop of an execution environment; works for any ASGI app.

    from handler.event_loop import EnvironmentLoop

    handler = EnvironmentLoop(app, mode="patch")  # a Lambda handler

`environment` is the journey of a request; `stage` says where the app lies. `doors` replaces asyncio's ways into a loop;
`entries` says what each does on the loop's thread, `workers` on any other. `fence` reaches a loop that synchronous code
blocks, `leftovers` ends what a request leaves behind, `ledger` remembers it all.
docs/event-loop.md tells the story.
"""

from .environment import EnvironmentLoop, log_ledger
from .ledger import DeadlineExceeded, EventLoopConflict, EventLoopError, Invocation, Ledger, current
from .request import remaining

__all__ = [
    "DeadlineExceeded",
    "EnvironmentLoop",
    "EventLoopConflict",
    "EventLoopError",
    "Invocation",
    "Ledger",
    "current",
    "log_ledger",
    "remaining",
]
