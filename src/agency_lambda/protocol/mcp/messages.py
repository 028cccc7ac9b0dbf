"""JSON-RPC 2.0."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.mcp.errors import INVALID_REQUEST, PARSE_ERROR, ProtocolError
from agency_lambda.protocol.surrogates import check_json

RequestId = int | str
LONGEST_ID = 256  # characters; an id is sent back, and a progress token in each notification
Object = dict[str, Any]


@dataclass(frozen=True)
class Request:
    id: RequestId
    method: str
    params: Object = field(default_factory=dict)

    @property
    def meta(self) -> Object:
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Notification:
    method: str
    params: Object = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What a client answers to a request of the server. result: None for an error."""

    id: RequestId
    result: Object | None


Message = Request | Notification | Reply


def parse_json(body: bytes) -> Any:
    """Raises ProtocolError."""
    try:
        value = json.loads(body)
        check_json(value)  # ids and names are sent back
    except (ValueError, InvalidRequest):
        raise ProtocolError(PARSE_ERROR, "The body is not JSON in UTF-8.") from None
    return value


def parse_message(value: Any) -> Message:
    """Raises ProtocolError."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, "The body is no JSON-RPC 2.0 message.")
    if "method" not in value:
        return _reply(value)
    method, params = value["method"], value.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict):
        raise ProtocolError(INVALID_REQUEST, "'method' is a text, and 'params' an object.")
    if "id" not in value:
        return Notification(method, params)
    return Request(_id(value), method, params)


def _reply(value: Object) -> Reply:
    result = value.get("result")
    if not isinstance(result, dict) and not isinstance(value.get("error"), dict):
        raise ProtocolError(INVALID_REQUEST, "The message has neither 'method' nor 'result' nor 'error'.")
    return Reply(_id(value), result if isinstance(result, dict) else None)


def _id(value: Object) -> RequestId:
    found = readable_id(value)
    if found is None:
        raise ProtocolError(INVALID_REQUEST, f"'id' is an integer or a text, of at most {LONGEST_ID} characters.")
    return found


def readable_id(value: Any) -> RequestId | None:
    """Return the id of a message, valid or not; None if it has none that can be sent back."""
    return short_id(value.get("id")) if isinstance(value, dict) else None


def short_id(value: Any) -> RequestId | None:
    """Return what a client has named something; None if it is of another type or too long to be sent back."""
    is_id = isinstance(value, int | str) and not isinstance(value, bool) and len(str(value)) <= LONGEST_ID
    return value if is_id else None


def result_message(request_id: RequestId, result: Mapping[str, Any]) -> Object:
    return {"jsonrpc": "2.0", "id": request_id, "result": dict(result)}


def error_message(request_id: RequestId | None, error: ProtocolError) -> Object:
    """request_id: None where the request has none that can be read."""
    known = {} if request_id is None else {"id": request_id}
    return {"jsonrpc": "2.0", **known, "error": error.field}


def notification(method: str, params: Mapping[str, Any]) -> Object:
    return {"jsonrpc": "2.0", "method": method, "params": dict(params)}


def server_request(request_id: RequestId, method: str, params: Mapping[str, Any]) -> Object:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params)}
