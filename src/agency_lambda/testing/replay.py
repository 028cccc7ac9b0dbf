"""A client that puts a response together from its events, and takes nothing that is out of order."""

from collections.abc import Iterable
from typing import Any

from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_PARTS = {"message": "content", "reasoning": "summary"}
_TEXT = {"output_text": "text", "refusal": "refusal", "summary_text": "text"}
_WORDS = {  # of a part's kind, in the names of its events
    "output_text": ("content_part", "output_text", "content_index"),
    "refusal": ("content_part", "refusal", "content_index"),
    "summary_text": ("reasoning_summary_part", "reasoning_summary_text", "summary_index"),
}


def replayed(events: Iterable[dict[str, Any]], whole: bool = True) -> list[dict[str, Any]]:
    """Return the items of a stream. Fails on an event that is unknown, early, late or repeated.

    whole: also on an item without an end.
    """
    client = _Client()
    for number, event in enumerate(events):
        event = {"sequence_number": number, **event}
        assert event["sequence_number"] == number
        assert EVENT.validate_python(event).type == event["type"]
        client.take(event)
    if whole:
        assert client.open == {}, "never closed"
    return client.items


class _Client:
    def __init__(self) -> None:
        self.items: list[Any] = []
        self.open: dict[str, int] = {}  # item id -> index
        self.part: dict[str, dict[str, Any]] = {}  # item id -> its open part
        self.finished: set[str] = set()  # texts and arguments that are done, and their part or item not yet

    def take(self, event: dict[str, Any]) -> None:
        match event["type"].removeprefix("response.").rsplit(".", 1):
            case ["created" | "in_progress" | "completed" | "incomplete" | "failed"]:
                pass
            case ["output_item", "added"]:
                self._added(event["output_index"], event["item"])
            case ["output_item", "done"]:
                self._done(event["output_index"], event["item"])
            case ["function_call_arguments", what]:
                self._arguments(what, self._item(event), event)
            case ["output_text.annotation", "added"]:
                part = self.part[self._item(event)["id"]]
                assert (part["type"], event["annotation_index"]) == ("output_text", len(part["annotations"]))
                part["annotations"] = [*part["annotations"], event["annotation"]]
            case [name, what]:
                self._part(name, what, self._item(event), event)

    def _item(self, event: dict[str, Any]) -> Any:
        assert self.open[event["item_id"]] == event["output_index"]
        return self.items[event["output_index"]]

    def _added(self, index: int, item: dict[str, Any]) -> None:
        assert index == len(self.items)
        assert item["status"] == "in_progress"
        assert item["id"] not in {each["id"] for each in self.items}
        assert (item.get("content", []), item.get("summary", [])) == ([], [])
        assert item["type"] == "mcp_approval_request" or item.get("arguments", "") == ""
        self.open[item["id"]] = index
        parts = _PARTS.get(item["type"])
        self.items.append({**item, parts: [*item[parts]]} if parts else dict(item))

    def _done(self, index: int, item: dict[str, Any]) -> None:
        assert self.open.pop(item["id"]) == index
        assert item["id"] not in self.part, "closed before its part"
        assert (item["type"] == "function_call") == (item["id"] in self.finished)
        self.finished.discard(item["id"])
        if item["type"] == "image_generation_call":  # it comes at once
            assert self.items[index]["result"] is None
            assert item["status"] == ("completed" if item["result"] else "failed")
            self.items[index] = {
                **self.items[index],
                **{name: item[name] for name in ("result", "error") if name in item},
            }
        else:
            assert item["status"] in ("completed", "incomplete")
        assert item == {**self.items[index], "status": item["status"]}
        self.items[index]["status"] = item["status"]

    def _arguments(self, what: str, item: dict[str, Any], event: dict[str, Any]) -> None:
        assert item["id"] not in self.finished
        if what == "delta":
            item["arguments"] += event["delta"]
            return
        self.finished.add(item["id"])
        assert event["name"] == item["name"]
        item["arguments"] = event["arguments"]

    def _part(self, name: str, what: str, item: dict[str, Any], event: dict[str, Any]) -> None:
        parts = item[_PARTS[item["type"]]]
        if what == "added":
            part = event["part"]
            outer, _, index = _WORDS[part["type"]]
            assert (name, event[index]) == (outer, len(parts))
            assert item["id"] not in self.part, "two parts at once"
            assert part[_TEXT[part["type"]]] == ""
            self.part[item["id"]] = dict(part)
            parts.append(self.part[item["id"]])
            return
        part = self.part[item["id"]]
        outer, inner, index = _WORDS[part["type"]]
        assert event[index] == len(parts) - 1
        text, key = _TEXT[part["type"]], f"{item['id']}/{event[index]}"
        match (name == outer, name == inner, what):
            case (False, True, "delta"):
                assert key not in self.finished
                part[text] += event["delta"]
            case (False, True, "done"):
                assert key not in self.finished
                self.finished.add(key)
                part[text] = event[text]
            case (True, False, "done"):
                self.finished.remove(key)
                assert event["part"][text] == part[text]
                part |= event["part"]
                del self.part[item["id"]]
            case _:
                raise AssertionError(event["type"])
