"""Server-sent events as they arrive, and what must hold of every stream of them."""

import json
from collections.abc import Iterable
from typing import Any

Event = dict[str, Any]
FINAL = ("response.completed", "response.incomplete", "response.failed")
_TEXTS = {  # deltas -> (what they add up to, the field that holds it)
    "response.output_text.delta": ("response.output_text.done", "text"),
    "response.reasoning_summary_text.delta": ("response.reasoning_summary_text.done", "text"),
    "response.function_call_arguments.delta": ("response.function_call_arguments.done", "arguments"),
}


def read_events(lines: Iterable[str]) -> list[Event]:
    """The events of a whole stream, whose last is `data: [DONE]`."""
    blocks = [block.splitlines() for block in "\n".join(lines).strip("\n").split("\n\n")]
    told = [block for block in blocks if not block[0].startswith(":")]
    assert told.pop() == ["data: [DONE]"]
    events = []
    for number, name, data in told:
        event = json.loads(data.removeprefix("data: "))
        assert (number, name) == (f"id: {event['sequence_number']}", f"event: {event['type']}")
        events.append(event)
    return events


def well_formed(events: list[Event]) -> None:
    """Numbered, begun and ended as the standard has it; every item and part closes, and deltas add up."""
    kinds = [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert [kind for kind in kinds if kind in FINAL] == kinds[-1:]
    items = _closed(events, "response.output_item", lambda event: event["item"]["id"])
    _closed(events, "response.content_part", _part)
    _closed(events, "response.reasoning_summary_part", _part)
    for delta, (done, field) in _TEXTS.items():
        grown: dict[Any, str] = {}
        for event in events:
            if event["type"] == delta:
                grown[_part(event)] = grown.get(_part(event), "") + event["delta"]
        assert grown == {_part(event): event[field] for event in events if event["type"] == done and event[field]}
    assert items == [item["id"] for item in events[-1]["response"]["output"]]
    shown = {event["item"]["id"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert [shown[name] for name in items] == events[-1]["response"]["output"]


def _part(event: Event) -> Any:
    return event["item_id"], event["output_index"], event.get("content_index"), event.get("summary_index")


def _closed(events: list[Event], what: str, name: Any) -> list[Any]:
    opened = [name(event) for event in events if event["type"] == f"{what}.added"]
    closed = [name(event) for event in events if event["type"] == f"{what}.done"]
    assert len(set(opened)) == len(opened)
    assert sorted(closed) == sorted(opened)
    return opened
