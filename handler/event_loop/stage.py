"""Where an API Gateway has put the app: behind the name of a stage, or at the root of its address."""

from typing import Any
from urllib.parse import unquote

from .request import Scope


def placed(scope: Scope) -> Scope:
    """The scope of an event as ASGI has it: `root_path` is what lies before the app, and `path` begins with it.

    A REST API cuts the stage off the event's path; an HTTP API, whose events have a version, does not. Function URLs,
    load balancers, custom domains and the stage $default have nothing before the app.
    """
    event = scope.get("aws.event") or {}
    context = event.get("requestContext") or {}
    prefix = f"/{context.get('stage')}"
    sent = unquote(context.get("path") or context.get("http", {}).get("path") or "")
    if sent != prefix and not sent.startswith(f"{prefix}/"):
        return scope
    if sent != scope["path"]:  # cut off; else the client has sent no stage, or the event still has it
        return {**scope, "root_path": prefix, "path": prefix + scope["path"]}
    if "version" in event and _is_own_domain(context):
        return {**scope, "root_path": prefix}
    return scope


def _is_own_domain(context: dict[str, Any]) -> bool:
    """Whether the client has called the address that the gateway was given by AWS."""
    return ".execute-api." in context.get("domainName", ".execute-api.")
