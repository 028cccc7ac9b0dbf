"""ASGI's `root_path` behind a stage or a base path of API Gateway."""

import re
from typing import Any
from urllib.parse import unquote

from .asgi import Scope


def with_root_path(scope: Scope) -> Scope:
    """Return the scope of an event with `root_path`, and a `path` that begins with it."""
    # What the client's path has before the event's resource is the root path. Without a resource only a stage can be
    # recognised: a REST API cuts it off the event's path, an HTTP API, whose events have a version, does not.
    event = scope.get("aws.event") or {}
    context = event.get("requestContext") or {}
    requested = unquote(context.get("path") or context.get("http", {}).get("path") or "")
    resource = _resource_path(event)
    for path in (requested, unquote(event.get("path") or "")) if resource else ():
        whole, end = path.rstrip("/"), resource.rstrip("/")
        root = whole.removesuffix(end)
        if root and whole.endswith(end):
            return {**scope, "root_path": root, "path": root + (path.removeprefix(root) or "/")}
    return _with_stage(scope, event, context, requested)


def _with_stage(scope: Scope, event: dict[str, Any], context: dict[str, Any], requested: str) -> Scope:
    prefix = f"/{context.get('stage')}"
    if requested != prefix and not requested.startswith(f"{prefix}/"):
        return scope
    if requested != scope["path"]:  # cut off; else the client has sent no stage, or the event still has it
        return {**scope, "root_path": prefix, "path": prefix + scope["path"]}
    if "version" in event and _is_aws_domain(context):
        return {**scope, "root_path": prefix, "path": prefix + (requested.removeprefix(prefix) or "/")}
    return scope


def _resource_path(event: dict[str, Any]) -> str:
    """Return the path of the event's resource, e.g. of ``/v1/{proxy+}``, or ""."""
    template = event.get("resource") or str(event.get("routeKey", "")).partition(" ")[2]
    parameters = event.get("pathParameters") or {}
    names = re.findall(r"\{(\w+)\+?\}", template)
    if not template or not all(isinstance(parameters.get(name), str) for name in names):
        return ""
    return re.sub(r"\{(\w+)\+?\}", lambda found: unquote(parameters[found[1]]), template)


def _is_aws_domain(context: dict[str, Any]) -> bool:
    return ".execute-api." in context.get("domainName", ".execute-api.")
