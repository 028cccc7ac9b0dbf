"""Refuses input that no model can answer: none at all, and function calls and outputs that do not match."""

from collections import Counter
from collections.abc import Sequence

from agency_lambda.errors import InvalidRequest
from agency_lambda.history import is_empty
from agency_lambda.protocol.types import Item


def refuse_empty(new_input: Sequence[Item]) -> None:
    if is_empty(new_input):
        raise InvalidRequest("'input' must not be empty: nothing of it is for the agents.", param="input")


def without_repeated_outputs(history: Sequence[Item], new_input: Sequence[Item]) -> list[Item]:
    """Leave out outputs that the history has: some clients send those of earlier calls with each new one."""
    if not any(item.get("type") == "function_call_output" for item in new_input):
        return [*new_input]
    top_level = [item for item in history if item.get("callerAgent") is None]
    given = [(item["call_id"], item["output"]) for item in top_level if item.get("type") == "function_call_output"]
    calls = [item["call_id"] for item in (*top_level, *new_input) if item.get("type") == "function_call"]
    is_open = Counter(calls) - Counter(call_id for call_id, _ in given)
    return [
        item
        for item in new_input
        if item.get("type") != "function_call_output"
        or is_open[item["call_id"]] > 0
        or (item["call_id"], item["output"]) not in given
    ]


def refuse_loose_ends(history: Sequence[Item], items: Sequence[Item], new_input: Sequence[Item]) -> None:
    """Refuse client functions' calls without outputs, and the reverse. new_input: as the agents take it."""
    top_level = [item for item in [*history, *new_input] if item.get("callerAgent") is None]
    calls = Counter(item["call_id"] for item in top_level if item.get("type") == "function_call")
    outputs = Counter(item["call_id"] for item in top_level if item.get("type") == "function_call_output")
    for number, item in enumerate(items):
        if item["type"] == "function_call_output" and outputs[item["call_id"]] > calls[item["call_id"]]:
            message = f"No function call with call_id {item['call_id']!r} was found for this output."
            if item["call_id"] in calls:
                message = f"The function call with call_id {item['call_id']!r} has more than one output."
            raise InvalidRequest(message, param=f"input[{number}].call_id")
    if missing := sorted(calls.keys() - outputs.keys()):
        raise InvalidRequest(f"No output was sent for the function call {missing[0]!r}.", param="input")
