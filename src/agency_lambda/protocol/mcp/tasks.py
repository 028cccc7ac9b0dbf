"""Responses as tasks: of the core in version 2025-11-25, and of the extension `io.modelcontextprotocol/tasks`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from agency_lambda.protocol.mcp.peer import Peer
from agency_lambda.protocol.response_object import FINAL, ResponseObject

_SOON, _LATER = 1_000, 5_000  # milliseconds between two looks
_YOUNG = 30.0  # seconds in which a client looks often
_RELATED = "io.modelcontextprotocol/related-task"


def task(
    peer: Peer, response: ResponseObject, task_id: str, ttl: int, *, asked: Sequence[str] = (), asks_peer: bool = False
) -> dict[str, Any]:
    """Return the task of a run.

    Args:
        response: what its client has asked for, or the last of those that continue it.
        ttl: how long it is kept, in milliseconds.
        asked: what it asks persons, in words. asks_peer: one of them is the client's.
    """
    status, updated = response["status"], response.get("completed_at")
    is_final, created = status in FINAL, response["created_at"]
    ttl_name, poll_name = ("ttlMs", "pollIntervalMs") if peer.is_modern else ("ttl", "pollInterval")
    is_young = time.time() - created < _YOUNG and (asks_peer or not asked)
    return {
        "taskId": task_id,
        "status": _status(response, peer, asks_peer=asks_peer),
        "statusMessage": _message(response, asked),
        "createdAt": _time(created),
        "lastUpdatedAt": _time(updated or (created if is_final else time.time())),
        ttl_name: ttl,
        poll_name: _SOON if is_young else _LATER,
    }


def related(task_id: str) -> dict[str, Any]:
    """Return the `_meta` of a message that belongs to a task."""
    return {_RELATED: {"taskId": task_id}}


def _status(response: ResponseObject, peer: Peer, *, asks_peer: bool) -> str:
    match response["status"]:
        case "completed" | "incomplete":
            return "completed"
        case "cancelled":
            return "cancelled"
        case "failed":  # the extension keeps `failed` for errors of the protocol
            return "completed" if peer.is_modern else "failed"
    return "input_required" if asks_peer else "working"


def _message(response: ResponseObject, asked: Sequence[str]) -> str:
    if response["error"]:
        return str(response["error"]["message"])
    if asked:
        return f"A person has to decide: {' '.join(asked)}"
    messages = {"queued": "It waits for its turn.", "in_progress": "The agents are at work."}
    return messages.get(response["status"], f"The run is {response['status']}.")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
