"""One event loop per execution environment of AWS Lambda, for any ASGI app.

    from lambda_loop import EnvironmentLoop

    handler = EnvironmentLoop(app, mode="patch")  # a Lambda handler

README.md says how to use it, docs/event-loop.md how it works. A request goes through `environment_loop`,
`app_response` and `cleanup`.
"""

from .environment_loop import EnvironmentLoop
from .errors import DeadlineExceeded, EventLoopConflict, EventLoopError, InvocationOver
from .invocation import Invocation, current_invocation, seconds_remaining
from .report import InvocationReport, log_report

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
