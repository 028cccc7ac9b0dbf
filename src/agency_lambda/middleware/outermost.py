import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agency_lambda import exception_handlers
from agency_lambda.errors import InvalidRequest

_METHODS = ("GET", "HEAD", "POST", "DELETE")
_EXPOSED = "x-request-id, location, retry-after, www-authenticate, mcp-session-id"
_BASE_STEPS = 10  # of a base path, at most: each is tried, for callers that nobody knows yet
_AWS_HOSTS = (".execute-api.", ".lambda-url.")


class Outermost:
    """Wrap everything else: base path, HEAD, CORS and request id, for every answer."""

    def __init__(
        self, app: ASGIApp, routes: Sequence[BaseRoute], origins: Collection[str] = (), *, finds_base_path: bool = True
    ) -> None:
        self._app, self._routes, self._origins, self._finds_base_path = app, routes, origins, finds_base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if self._finds_base_path:  # not where the gateway has authorised the path as it was sent
            scope = _behind_base_path(scope, self._routes)
        send = partial(self._send, send, headers.get("origin"))
        if self._origins and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            return await self._preflight(scope, headers)(scope, receive, send)
        if scope["method"] == "HEAD":
            return await _without_body(self._app, {**scope, "method": "GET", "head": True}, receive, send)
        await self._app(scope, receive, send)

    async def _send(self, send: Send, origin: str | None, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            headers.setdefault("x-request-id", exception_handlers.request_id())
            if self._origins:
                headers.add_vary_header("Origin")
            if origin in self._origins:
                headers["access-control-allow-origin"] = str(origin)
                headers["access-control-expose-headers"] = _EXPOSED
            message = {**message, "headers": headers.raw}
        await send(message)

    def _preflight(self, scope: Scope, headers: Headers) -> Response:
        # Also those that only other paths have: the page may read the 405.
        methods = dict.fromkeys((*_METHODS, *exception_handlers.allowed_methods(self._routes, scope)))
        if headers.get("origin") not in self._origins:
            return exception_handlers.error_response(
                scope, InvalidRequest("Pages of this origin may not call (CORS_ORIGINS).")
            )
        if headers["access-control-request-method"] not in methods:
            return exception_handlers.error_response(scope, InvalidRequest("No route has this method."))
        allowed = {
            "access-control-allow-methods": ", ".join(methods),
            "access-control-allow-headers": headers.get("access-control-request-headers", "*"),
            "access-control-max-age": "600",
            "vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
        }
        return Response(status_code=200, headers=allowed)


def _behind_base_path(scope: Scope, routes: Sequence[BaseRoute]) -> Scope:
    """Return the scope with a custom domain's base path as `root_path`.

    An HTTP API's $default route does not name it: it is what precedes the first path that a route has.
    """
    event = scope.get("aws.event") or {}
    domain = (event.get("requestContext") or {}).get("domainName")
    if not domain or scope.get("root_path") or any(each in domain for each in _AWS_HOSTS):
        return scope
    steps = get_route_path(scope).split("/")
    for number in range(1, min(len(steps), _BASE_STEPS + 2)):
        root = "/".join(steps[:number])
        if root and not any(steps[number:]) and not _may_be_base_path(event, steps, routes):
            break
        found = {**scope, "root_path": root}
        if any(route.matches(found)[0] is not Match.NONE for route in routes):
            return found
    root, v1, _ = f"{get_route_path(scope)}/".partition("/v1/")
    return {**scope, "root_path": root} if v1 else scope  # for the shape of the 404, or of the 401


def _may_be_base_path(event: Mapping[str, Any], steps: Sequence[str], routes: Sequence[BaseRoute]) -> bool:
    """Return whether all of a path can be the base path, in front of the page: every path ends with it."""
    ours = {str(getattr(route, "path", "")).split("/")[1] for route in routes if "/" in getattr(route, "path", "")}
    return event.get("routeKey") == "$default" and steps[1] not in ours


async def _without_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the headers only, and then disconnect the app, so that a stream ends."""
    begun, given = asyncio.Event(), False

    async def request() -> Message:
        nonlocal given
        if not given:
            given = True
            return await receive()
        await begun.wait()
        return {"type": "http.disconnect"}

    async def start(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            begun.set()

    await app(scope, request, start)
