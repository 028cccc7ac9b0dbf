"""The index of each owner's runs, in the order of creation."""

import time
from typing import Any

from agency_lambda.errors import detail_code
from agency_lambda.protocol.ids import created_microseconds
from agency_lambda.protocol.response_object import FINAL, ResponseObject, as_answered
from agency_lambda.runs.model import expiry
from agency_lambda.runs.usage import ByModel
from agency_lambda.store import ABSENT, Delete, Put


def index_partition(owner: str) -> str:
    """Return the partition with one entry for each run of an owner."""
    return f"{owner}/runs"


def entry_key(response_id: str) -> str | None:
    """Return None for a run of version 0.1, which has no entry."""
    created = created_microseconds(response_id)
    return None if created is None else f"{created:016d}/{response_id}"


def put_entry(
    owner: str,
    response: ResponseObject,
    *,
    attempts: int | None = None,
    by_model: ByModel | None = None,
    is_new: bool = False,
    expires: int | None = None,
) -> list[Put]:
    if (key := entry_key(response["id"])) is None:
        return []
    body = entry_body(response) | {"by_model": by_model or {}, "attempts": attempts}
    return [Put(index_partition(owner), key, body, expires or expiry(), expected=ABSENT if is_new else None)]


def delete_entry(owner: str, response_id: str) -> list[Delete]:
    key = entry_key(response_id)
    return [] if key is None else [Delete(index_partition(owner), key)]


def entry_body(response: ResponseObject) -> dict[str, Any]:
    conversation = response.get("conversation")
    return {
        "id": response["id"],
        "model": response["model"],
        "status": response["status"],
        "conversation": conversation and conversation["id"],
        "background": as_answered(response)["background"],
        "created_at": response["created_at"],
        "completed_at": response["completed_at"],
        "ended_at": int(time.time()) if response["status"] in FINAL else None,
        "usage": response["usage"],
        "error_code": error_code(response),
    }


def error_code(response: ResponseObject) -> str | None:
    """Return why a response is not completed; None if it is, or was cancelled."""
    if response["error"]:
        return detail_code(response["error"])
    incomplete: dict[str, str] | None = response["incomplete_details"]
    return incomplete.get("detail", incomplete["reason"]) if incomplete else None
