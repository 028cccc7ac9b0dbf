"""Lambda entry, buffered: one API Gateway, function URL or ALB event in, one answer out.

event -> EnvironmentLoop -> Mangum -> app -> auth -> route -> runs -> agents -> answer | exception_handlers
"""

from typing import Any

from agency_lambda import lambda_handler
from handler.app import app

environment = lambda_handler(app)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one event, before the context's time is up."""
    return environment(event, context)
