"""Lambda entry, buffered: one API Gateway, function URL or ALB event in, one answer out.

The way of a request:

    event -> EnvironmentLoop -> Mangum -> app -> route -> runs -> (store, agency, models) -> answer | errors

Cold start, in this order: the loop and, with EVENT_LOOP=patch, nest_asyncio on it; then the app, on that loop.
"""

from typing import Any

from handler import snapshot, telemetry
from handler.app import app
from handler.catalogue import manifest
from handler.event_loop import EnvironmentLoop
from handler.settings import get_settings

environment = EnvironmentLoop(app, get_settings().event_loop, report=telemetry.report)
telemetry.report_not_configured(manifest.not_configured())
snapshot.register(environment)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one event, before the context's time is up."""
    return environment(event, context)
