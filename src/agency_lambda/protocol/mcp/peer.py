"""Who sends a request: the version of the protocol, and what its client can do."""

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agency_lambda.protocol.mcp.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    ProtocolError,
)
from agency_lambda.protocol.mcp.messages import Message, Object, Request

MODERN = ("2026-07-28",)  # each request says its version and what its client can do
EARLIER = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")  # with a handshake, the newest first
SUPPORTED = (*MODERN, *EARLIER)
WITH_TASKS = "2025-11-25"  # the earlier version whose core has tasks
WITH_BATCHES = "2025-03-26"
_WITHOUT_HEADER = "2025-03-26"  # what a request without MCP-Protocol-Version is taken for

PREFIX = "io.modelcontextprotocol/"
TASKS = f"{PREFIX}tasks"
_VERSION, _CAPABILITIES = f"{PREFIX}protocolVersion", f"{PREFIX}clientCapabilities"
#: method -> the parameter that the header Mcp-Name repeats
_NAMED = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
_ELICITATION = "elicitation"  # how the session id of a client begins that answers forms


@dataclass(frozen=True)
class Peer:
    """The client of a request, with the capabilities that the request declares."""

    version: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_modern(self) -> bool:
        return self.version in MODERN

    @property
    def has_resource_links(self) -> bool:
        return self.version >= "2025-06-18"

    @property
    def shows_forms(self) -> bool:
        """Return whether its person can be asked by a form: an empty capability means that, too."""
        elicitation = self.capabilities.get("elicitation")
        return isinstance(elicitation, dict) and ("form" in elicitation or "url" not in elicitation)

    @property
    def takes_tasks(self) -> bool:
        """Return whether it has declared the extension."""
        extensions = self.capabilities.get("extensions")
        return self.is_modern and isinstance(extensions, dict) and TASKS in extensions

    def require_tasks(self) -> None:
        """Raises ProtocolError."""
        if not self.takes_tasks:
            required: Object = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
            raise ProtocolError(MISSING_CAPABILITY, f"The client has not declared the extension {TASKS}.", required)


def identify(message: Message, headers: Mapping[str, str]) -> Peer:
    """Raises ProtocolError. headers: with names in lower case."""
    header = headers.get("mcp-protocol-version")
    meta = message.meta if isinstance(message, Request) else {}
    declared = meta.get(_VERSION)
    version = header if declared is None else declared
    is_discovery = isinstance(message, Request) and message.method == "server/discover"
    if version is None and not is_discovery:
        version = _WITHOUT_HEADER
    if version in EARLIER and not is_discovery:
        return Peer(str(version), session_capabilities(headers.get("mcp-session-id")))
    if isinstance(version, str) and version not in SUPPORTED:
        raise unsupported_version(version)
    if isinstance(message, Request):
        _check_envelope(message, headers)
    return Peer(str(version), meta.get(_CAPABILITIES, {}))


def unsupported_version(requested: Any) -> ProtocolError:
    data = {"supported": list(SUPPORTED), "requested": str(requested)[:99]}
    return ProtocolError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def _check_envelope(request: Request, headers: Mapping[str, str]) -> None:
    """Raise ProtocolError unless a request says who sends it, and its headers repeat what it says."""
    for key, kind in ((_VERSION, str), (_CAPABILITIES, dict)):
        if not isinstance(request.meta.get(key), kind):
            raise ProtocolError(INVALID_PARAMS, f"params._meta needs {key!r}, which is of type {kind.__name__}.")
    _check_header(headers, "mcp-protocol-version", request.meta[_VERSION])
    _check_header(headers, "mcp-method", request.method)
    name = request.params.get(_NAMED.get(request.method, ""))
    if name is not None:
        _check_header(headers, "mcp-name", name, decoded=True)


def _check_header(headers: Mapping[str, str], name: str, expected: Any, *, decoded: bool = False) -> None:
    sent = headers.get(name)
    value = _decoded(sent) if decoded and sent is not None else sent
    if value != expected:
        problem = "is missing" if sent is None else "is not what the body says"
        raise ProtocolError(HEADER_MISMATCH, f"Header mismatch: {name} {problem}.")


def _decoded(value: str) -> str | None:
    """Return the text of `=?base64?...?=`, None if it is none; and other values as they are."""
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def new_session_id(capabilities: Any) -> str | None:
    """Return an id that says what a later request of an earlier version needs to know, None if that is nothing.

    There is no session behind it: whoever sends it has declared that it answers forms.
    """
    shows_forms = isinstance(capabilities, dict) and Peer(EARLIER[0], capabilities).shows_forms
    return f"{_ELICITATION}-{uuid.uuid4().hex}" if shows_forms else None


def session_capabilities(session_id: str | None) -> Object:
    shows_forms = (session_id or "").startswith(f"{_ELICITATION}-")
    return {"elicitation": {}} if shows_forms else {}
