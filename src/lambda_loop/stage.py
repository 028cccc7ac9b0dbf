"""Where an API Gateway has put the app: behind the name of a stage, a base path of a domain, both, or nothing."""

import re
from typing import Any
from urllib.parse import unquote

from .request import Scope


def placed(scope: Scope) -> Scope:
    """The scope of an event as ASGI has it: `root_path` is what lies before the app, and `path` begins with it.

    Where the event names the resource that was found, all that the client wrote before it lies before the app: a stage,
    a custom domain's base path, or both. Where it does not, only a stage can be told: a REST API cuts it off the
    event's path; an HTTP API, whose events have a version, does not. Function URLs, load balancers and the stage
    $default have none.
    """
    event = scope.get("aws.event") or {}
    context = event.get("requestContext") or {}
    written = unquote(context.get("path") or context.get("http", {}).get("path") or "")
    inside = _resource(event)
    for path in (written, unquote(event.get("path") or "")) if inside else ():
        whole, end = path.rstrip("/"), inside.rstrip("/")
        root = whole.removesuffix(end)
        if root and whole.endswith(end):
            return {**scope, "root_path": root, "path": root + (path.removeprefix(root) or "/")}
    return _behind_stage(scope, event, context, written)


def _behind_stage(scope: Scope, event: dict[str, Any], context: dict[str, Any], written: str) -> Scope:
    prefix = f"/{context.get('stage')}"
    if written != prefix and not written.startswith(f"{prefix}/"):
        return scope
    if written != scope["path"]:  # cut off; else the client has sent no stage, or the event still has it
        return {**scope, "root_path": prefix, "path": prefix + scope["path"]}
    if "version" in event and _is_own_domain(context):
        return {**scope, "root_path": prefix}
    return scope


def _resource(event: dict[str, Any]) -> str:
    """Return the path of the resource that the gateway found, e.g. of ``/v1/{proxy+}``; "" where it does not say."""
    template = event.get("resource") or str(event.get("routeKey", "")).partition(" ")[2]
    given = event.get("pathParameters") or {}
    names = re.findall(r"\{(\w+)\+?\}", template)
    if not template or not all(isinstance(given.get(name), str) for name in names):
        return ""
    return re.sub(r"\{(\w+)\+?\}", lambda found: unquote(given[found[1]]), template)


def _is_own_domain(context: dict[str, Any]) -> bool:
    """Whether the client has called the address that the gateway was given by AWS."""
    return ".execute-api." in context.get("domainName", ".execute-api.")
