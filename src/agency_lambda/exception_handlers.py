"""The handlers that turn exceptions into responses.

Only texts written here or in the package's exceptions reach a client.
"""

import logging
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from agency_lambda.errors import INTERNAL, AnswerTooLarge, BudgetExceeded, ServiceError, UpstreamFailed
from lambda_loop import EventLoopConflict, current_invocation

logger = logging.getLogger(__name__)


class Failure(BaseModel):
    """The `error` of a response outside of /v1."""

    type: str
    message: str
    request_id: str


class FailureAnswer(BaseModel):
    error: Failure


class OpenAIFailure(BaseModel):
    """The `error` of a response under /v1, as in OpenAI's API."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIFailureAnswer(BaseModel):
    error: OpenAIFailure


_HTTP = {
    400: "invalid_json",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
}
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
#: pydantic's type of an error -> its code under /v1
_FIELD_ERRORS = {"extra_forbidden": "unsupported_parameter", "missing": "missing_required_parameter"}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_JSON_TYPE = re.compile(r"\s*application/([^,;]*\+)?json\s*(;|$)", re.IGNORECASE)  # as FastAPI reads it
_NO_JSON = "The body is not JSON."
_MAX_MESSAGE = 1000  # characters; a message may repeat what a client sent


def allowed_methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """Return a path's methods, with HEAD and OPTIONS; [] for no route."""
    methods = [method for method in _METHODS if any(_matches(route, {**scope, "method": method}) for route in routes)]
    if "GET" in methods:
        methods[1:1] = ["HEAD"] * ("HEAD" not in methods)
    return [*methods, "OPTIONS"] if methods else []


def _matches(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL


def request_id() -> str:
    invocation = current_invocation.get()
    return invocation.report.request_id if invocation else str(uuid.uuid4())


def error_response(scope: Scope, error: ServiceError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    if error.retry_after:
        headers = {**(headers or {}), "retry-after": str(math.ceil(error.retry_after))}
    # Clients would repeat a 429, and with it what tools have done; a budget opens much later, and no size changes.
    if isinstance(error, UpstreamFailed | BudgetExceeded | AnswerTooLarge):
        headers = {**(headers or {}), "x-should-retry": "false"}
    about = error.code, error.param, headers, error.safe_to_retry, error.details
    return _answer(scope, error.status, error.kind, str(error), *about)


def v1_error(error: ServiceError) -> dict[str, Any]:
    """Return the `error` of an answer, or of an event, under /v1."""
    return _v1_failure(error.status, str(error), error.code, error.param, error.details)


def _v1_failure(status: int, message: str, code: str, param: str | None, details: Mapping[str, Any]) -> dict[str, Any]:
    sendable_param = None if param is None else _sendable(param)
    failure = OpenAIFailure(message=_sendable(message), type=_openai_type(status), param=sendable_param, code=code)
    return {**failure.model_dump(), **details}


def _answer(
    scope: Scope,
    status: int,
    kind: str,
    message: str,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    safe_to_retry: bool = False,
    details: Mapping[str, Any] = {},
) -> JSONResponse:
    log_id = request_id()
    if _is_v1(scope):
        failure = _v1_failure(status, message, code or kind, param, details)
    else:
        failure = Failure(type=kind, message=_sendable(message), request_id=log_id).model_dump()
    sent = {**(headers or {}), "x-request-id": log_id}
    if scope["method"] == "POST" and ((status >= 500 and not safe_to_retry) or kind == "idempotency_key_reused"):
        sent["x-should-retry"] = "false"  # OpenAI's clients would retry, but tools may have acted already
    return JSONResponse({"error": failure}, status, sent)


def error_app(status: int, kind: str, message: str) -> ASGIApp:
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(scope, status, kind, message)(scope, receive, send)

    return respond


def _is_v1(scope: Scope) -> bool:
    return f"{get_route_path(scope)}/".startswith("/v1/")


def _openai_type(status: int) -> str:
    return "server_error" if status >= 500 else _OPENAI_TYPES.get(status, "invalid_request_error")


def _sendable(text: str) -> str:
    return text[:_MAX_MESSAGE].encode(errors="replace").decode()


def install(app: FastAPI) -> None:
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(EventLoopConflict, _conflict)
    app.add_exception_handler(Exception, _defect)


async def _service_error(request: Request, error: Any) -> JSONResponse:
    response = error_response(request.scope, error)
    if error.status >= 500 or isinstance(error, UpstreamFailed):  # whose reason is nowhere else
        level = logging.ERROR if error.status >= 500 else logging.WARNING
        logger.log(level, "request %s: %s: %s", response.headers["x-request-id"], error.kind, error, exc_info=error)
    return response


async def _invalid_request(request: Request, error: Any) -> JSONResponse:
    path, first = max(((_path(each, error.body), each) for each in error.errors()), key=_fits)
    param, v1, is_json = _dotted(path), _is_v1(request.scope), _has_json_type(request)
    no_body = not param and (not is_json or (v1 and first["type"] == "missing"))
    if first["type"] == "json_invalid" or no_body:
        advice = "" if is_json else " Send content-type: application/json."
        return _answer(request.scope, 400, "invalid_json", _NO_JSON + advice)
    message = f"{param or 'body'}: {first['msg'].removeprefix('Value error, ')}"
    if not v1:
        return _answer(request.scope, 422, "invalid_request", message)
    code = _FIELD_ERRORS.get(first["type"])
    if code:
        message = f"{code.replace('_', ' ').capitalize()}: {param!r}."
    return _answer(request.scope, 400, "invalid_request", message, code, param or None)


def _fits(found: tuple[list[int | str], Mapping[str, Any]]) -> tuple[int, bool]:
    """Return how well a union's branch fits whose error this is: by depth, then whether only a field is missing."""
    path, error = found
    return len(path), error["type"] in ("missing", "too_long")


def _path(error: Mapping[str, Any], body: Any) -> list[int | str]:
    """Return a location without pydantic's names of union branches."""
    source, *location = tuple[int | str, ...](error["loc"])
    if source != "body":
        return location
    path: list[int | str] = []
    for step in location:
        # A text in a range of numbers would be looked for in each of them.
        is_index = isinstance(body, list) and isinstance(step, int) and 0 <= step < len(body)
        exists = is_index or (isinstance(body, dict) and step in body)
        if exists:
            body = body[step]
        if exists or (step is location[-1] and error["type"] == "missing"):
            path.append(step)
    return path


def _dotted(path: list[int | str]) -> str:
    """Return OpenAI's form, such as `input[0].content`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


async def _http_error(request: Request, error: Any) -> Response:
    status, headers, message = error.status_code, dict(error.headers or {}), str(error.detail)
    path, routes = get_route_path(request.scope), request.app.router.routes
    if status == 405:  # the router names the methods of one route only
        headers = {"allow": ", ".join(allowed_methods(routes, request.scope))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
        message = f"{path} takes {headers['allow']}, and not {request.method}."
    if status == 404 and "endpoint" not in request.scope:  # no route has raised it
        from agency_lambda.hints import hint  # few processes need them

        message = hint(request.scope, path, routes) or message
    kind = _HTTP.get(status, "internal_error" if status >= 500 else "invalid_request")
    return _answer(request.scope, status, kind, message, headers=headers)


async def _conflict(request: Request, error: Any) -> JSONResponse:
    return _answer(request.scope, 500, "event_loop_conflict", str(error))


async def _defect(request: Request, error: Exception) -> JSONResponse:
    return _answer(request.scope, 500, "internal_error", INTERNAL)


def _has_json_type(request: Request) -> bool:
    return _JSON_TYPE.match(request.headers.get("content-type", "")) is not None
