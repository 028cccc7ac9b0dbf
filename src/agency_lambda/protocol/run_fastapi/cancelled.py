"""The answer of `cancel_response_stream`."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.protocol.run_fastapi.items import Provenance, addressed_agent, entries
from agency_lambda.protocol.run_fastapi.turn import with_times
from agency_lambda.protocol.types import Item


def cancelled(response: ResponseObject, request_input: Sequence[Item]) -> dict[str, Any]:
    """Return the messages of a cancelled run. request_input: the items with which it began."""
    is_over = response["status"] in FINAL
    return {
        "ok": is_over,
        "run_id": response["id"],
        "cancelled": is_over,
        "cancel_mode": "immediate",
        "new_messages": _messages(response, request_input),
        "timed_out": not is_over,
    }


def _messages(response: ResponseObject, request_input: Sequence[Item]) -> list[Item]:
    # A history in front of the new message ends with the agent's words.
    new = list(takewhile(lambda item: item.get("role") == "user", reversed(request_input)))[::-1]
    provenance, (agency, _, agent) = Provenance(response["id"]), response["model"].partition("/")
    made = {"type": "message", "agent": agent or addressed_agent(response["output"], agency)}
    sent = [{"type": "message", "role": "user", "content": item["content"], **provenance.of(made)} for item in new]
    return with_times([*sent, *entries(response["output"], provenance)], response)
