"""The items of a response as entries of `new_messages`."""

from collections.abc import Iterable, Iterator
from typing import Any

from agency_lambda.protocol.item_builder import is_activity
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.protocol.types import Item

_OURS = ("agent", "parent")


class Provenance:
    """Says who made an item, and for whom.

    response_id: the run's. A part of the run in which a colleague works has the id of the call that asked it.
    """

    def __init__(self, response_id: str) -> None:
        self._response_id = response_id
        self._agents: dict[str, str] = {}  # of activities, by their ids

    def of(self, item: Item) -> Item:
        if is_activity(item):
            self._agents[item["id"]] = item["agent"]
        parent, agent = item.get("parent"), {"agent": item["agent"]} if item.get("agent") else {}
        if not parent:
            return {**agent, "callerAgent": None, "agent_run_id": f"agent_run_{self._response_id}"}
        return {
            **agent,
            "callerAgent": self._agents.get(parent, ""),  # "": an earlier response has its call
            "agent_run_id": f"agent_run_{parent}",
            "parent_run_id": call_id(parent),
        }


def call_id(activity_id: str) -> str:
    return f"call_{activity_id.partition('_')[2]}"


def call(activity: Item) -> Item:
    """Return a call whose arguments nobody sees, except whom it asks."""
    arguments = {"recipient_agent": activity["recipient"]} if "recipient" in activity else {}
    return {
        "type": "function_call",
        "id": f"fc_{activity['id'].partition('_')[2]}",
        "call_id": call_id(activity["id"]),
        "name": activity["tool"],
        "arguments": to_json_bytes(arguments).decode(),
        "status": activity["status"],
    }


def call_output(activity: Item) -> Item:
    """Return a call's output without its content."""
    return {"type": "function_call_output", "call_id": call_id(activity["id"]), "output": ""}


def own_fields(item: Item) -> Item:
    """Return an item of the addressed agent as OpenAI's types have it."""
    own = {name: value for name, value in item.items() if name not in _OURS}
    # Clients send a history without ids, and an approval is answered by its id.
    return own | {"approval_request_id": item["id"]} if item["type"] == "mcp_approval_request" else own


def entries(output: Iterable[Item], provenance: Provenance) -> Iterator[Item]:
    for item in output:
        made = provenance.of(item)
        for entry in [call(item), call_output(item)] if is_activity(item) else [own_fields(item)]:
            yield {**entry, **made}


def addressed_agent(output: Iterable[Item], fallback: str) -> str:
    """Return the first agent that did something for the user."""
    return next((str(item["agent"]) for item in output if item.get("agent") and not item.get("parent")), fallback)


def usage(counts: Any) -> Item:
    """Return the usage of a response by Agency Swarm's names."""
    details, outputs = counts.get("input_tokens_details") or {}, counts.get("output_tokens_details") or {}
    return {
        "request_count": counts.get("model_calls", 0),
        "cached_tokens": details.get("cached_tokens", 0),
        "cache_write_tokens": details.get("cache_write_tokens", 0),
        "input_tokens": counts["input_tokens"],
        "output_tokens": counts["output_tokens"],
        "total_tokens": counts["total_tokens"],
        "reasoning_tokens": outputs.get("reasoning_tokens", 0),
    }
