"""What can go wrong, and the one table that turns it into answers.

ServiceError
 ├─ UnknownName          an agency or agent that is not there
 ├─ PayloadTooLarge
 ├─ ConversationBusy     two runs on one conversation
 ├─ GuardrailTriggered   the agency's own guardrail refused
 ├─ StoreUnavailable
 ├─ UpstreamFailed       the model, or what stands behind it
 ├─ RunLimitExceeded     too many model calls
 └─ AgencyMisconfigured  a defect in `agents/`

Every answer is ``{"error": {"type", "message", "request_id"}}``. Only texts written here, or in the exceptions that
this package raises, reach a client; what a library or a provider said goes to the log.
"""

import logging
import uuid
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from handler.event_loop import EventLoopConflict, current

logger = logging.getLogger(__name__)


class ServiceError(Exception):
    """`str(error)` is public."""

    status, kind = 500, "internal_error"


class UnknownName(ServiceError):
    """No agency or agent has this name."""

    status, kind = 404, "not_found"


class PayloadTooLarge(ServiceError):
    """The request body is over the limit."""

    status, kind = 413, "payload_too_large"


class ConversationBusy(ServiceError):
    """Another run has added to the conversation since this one loaded it."""

    status, kind = 409, "conversation_busy"


class GuardrailTriggered(ServiceError):
    """A guardrail of the agency refused the message or the answer."""

    status, kind = 422, "guardrail_triggered"


class StoreUnavailable(ServiceError):
    """The store could not be read or written."""

    status, kind = 503, "store_unavailable"


class UpstreamFailed(ServiceError):
    """The model did not answer."""

    status, kind = 502, "upstream_failed"


class RunLimitExceeded(ServiceError):
    """The run was stopped, because it asked models more often than a run may."""

    status, kind = 502, "run_limit_exceeded"


class AgencyMisconfigured(ServiceError):
    """An agency cannot run as it is written; the message says what to change."""

    status, kind = 500, "agency_misconfigured"


class Failure(BaseModel):
    """What an error's `error` holds: `request_id` finds it in the log."""

    type: str
    message: str
    request_id: str


class FailureAnswer(BaseModel):
    """The body of every error."""

    error: Failure


#: for the OpenAPI document
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": FailureAnswer} for status in (400, 404, 405, 409, 413, 422, 500, 502, 503, 504)
}
_HTTP = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed"}
_INTERNAL = "The service failed to answer. The request id finds it in the log."


def request_id() -> str:
    """The id under which this request is in the log."""
    invocation = current.get()
    return invocation.ledger.request_id if invocation else str(uuid.uuid4())


def answer(status: int, kind: str, message: str, **headers: str) -> JSONResponse:
    """An error as a response."""
    failure = Failure(type=kind, message=message, request_id=request_id())
    return JSONResponse({"error": failure.model_dump()}, status, headers=headers)


def install(app: FastAPI) -> None:
    """Make the app answer its failures from here."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(EventLoopConflict, _conflict)
    app.add_exception_handler(Exception, _defect)


async def _service_error(request: Request, error: Any) -> JSONResponse:
    if error.status >= 500:
        logger.error("request %s: %s: %s", request_id(), error.kind, error, exc_info=error)
    return answer(error.status, error.kind, str(error))


async def _invalid_request(request: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid" or (not field and not _says_json(request)):
        return answer(400, "invalid_json", "The body is not JSON. Send content-type: application/json.")
    return answer(422, "invalid_request", f"{field or 'body'}: {first['msg'].removeprefix('Value error, ')}")


async def _http_error(request: Request, error: Any) -> JSONResponse:
    kind = _HTTP.get(error.status_code, "invalid_request")
    return answer(error.status_code, kind, str(error.detail), **(error.headers or {}))


async def _conflict(request: Request, error: Any) -> JSONResponse:
    return answer(500, "event_loop_conflict", str(error))


async def _defect(request: Request, error: Exception) -> JSONResponse:
    return answer(500, "internal_error", _INTERNAL)


def _says_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "")
