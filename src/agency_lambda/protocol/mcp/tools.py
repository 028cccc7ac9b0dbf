"""Agencies as tools."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agency_lambda.protocol.mcp.arguments import Arguments, WaitArguments, schema_of
from agency_lambda.protocol.mcp.peer import WITH_TASKS, Peer

WAIT = "get_response"  # the tool that returns the answer of a call that took too long
_PAGE = 50  # tools in one answer
_LONGEST = 64  # characters of a name that models' providers take
_ANY = re.compile(rf"[A-Za-z0-9_-]{{1,{_LONGEST}}}")

_RESULT = {
    "type": "object",
    "properties": {
        "response_id": {"type": "string", "description": "Names the response, also in /v1/responses."},
        "status": {"type": "string", "enum": ["completed", "incomplete", "in_progress"]},
        "answer": {"type": "string", "description": "What the agent said; empty while it is at work."},
        "agent": {"type": ["string", "null"], "description": "Who said it."},
        "conversation": {"type": ["string", "null"], "description": "The name of the conversation."},
        "files": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("file_id", "name", "uri")},
            },
            "description": "What the agents have made; a uri needs the same key.",
        },
    },
    "required": ["response_id", "status", "answer"],
}
_WAIT_DESCRIPTION = (
    "Wait for the answer of an agency that was still at work, or waited for a person, when its call returned. "
    "Answers are kept for 30 days."
)


def tool_names(agencies: Iterable[str]) -> dict[str, str]:
    """Return agencies by the names of their tools, in the same order."""
    return {_tool_name(agency): agency for agency in agencies}


def _tool_name(agency: str) -> str:
    """Return a name of which no other agency makes the same."""
    if _ANY.fullmatch(agency) and agency != WAIT:
        return agency
    digest = hashlib.sha256(agency.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9_-]', '_', agency)[: _LONGEST - 9]}-{digest}"


def list_tools(descriptions: Mapping[str, str | None], cursor: str | None, peer: Peer) -> dict[str, Any] | None:
    """Return a page of the tools, None if no page begins at the cursor. descriptions: by agency."""
    names = tool_names(descriptions)
    all_names = [*names, WAIT]
    if cursor is not None and cursor not in all_names:
        return None
    start = 0 if cursor is None else all_names.index(cursor) + 1
    shown = all_names[start : start + _PAGE]
    tools = [_wait_tool() if each == WAIT else _agency_tool(each, names[each], descriptions, peer) for each in shown]
    more = {"nextCursor": shown[-1]} if start + _PAGE < len(all_names) else {}
    return {"tools": tools, **more}


def _agency_tool(name: str, agency: str, descriptions: Mapping[str, str | None], peer: Peer) -> dict[str, Any]:
    description = descriptions.get(agency) or f"Ask the agency {agency!r}: agents who work together on what you send."
    tasks = {"execution": {"taskSupport": "optional"}} if peer.version == WITH_TASKS else {}
    schemas = {"inputSchema": schema_of(Arguments), "outputSchema": _RESULT}
    return {"name": name, "title": agency, "description": description, **schemas, **tasks}


def _wait_tool() -> dict[str, Any]:
    return {
        "name": WAIT,
        "title": "Wait for an answer",
        "description": _WAIT_DESCRIPTION,
        "inputSchema": schema_of(WaitArguments),
        "outputSchema": _RESULT,
        "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False},
    }
