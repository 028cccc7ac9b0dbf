"""The output of a response as it grows: items, and the events that tell of them.

Every item that opens closes, and every part of it, in the standard order; who feeds it need only say what is new.
Order and names: https://www.openresponses.org/specification (Streaming).
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Event = dict[str, Any]
Item = dict[str, Any]
Emit = Callable[..., None]
"""(type, **fields): an event, numbered by whoever sends it out."""

PREFIX = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
}


def new_id(kind: str) -> str:
    """A fresh id with the prefix of its kind: msg_..., fc_..., rs_..., resp_..., conv_..."""
    return f"{PREFIX.get(kind, kind)}_{uuid.uuid4().hex}"


def item_id(kind: str, response_id: str) -> str:
    """A fresh id of an item of a response; it says of which one, so that a reference to it is found."""
    return f"{PREFIX.get(kind, kind)}_{response_id.partition('_')[2]}{uuid.uuid4().hex[:16]}"


def response_of(item: str) -> str:
    """The id of the response that an item's id says it is of."""
    return f"resp_{item.partition('_')[2][:32]}"


@dataclass(frozen=True)
class _Kind:
    """How one kind of part is told of."""

    index: str
    text: str
    opened: str
    delta: str
    done: str
    closed: str
    extra: dict[str, Any] = field(default_factory=dict)


_CONTENT = ("response.content_part.added", "response.content_part.done")
_SUMMARY = ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done")
_KINDS = {
    "output_text": _Kind(
        *("content_index", "text", _CONTENT[0], "response.output_text.delta", "response.output_text.done", _CONTENT[1]),
        extra={"logprobs": []},
    ),
    "refusal": _Kind(
        *("content_index", "refusal", _CONTENT[0], "response.refusal.delta", "response.refusal.done", _CONTENT[1])
    ),
    "summary_text": _Kind(
        *("summary_index", "text", _SUMMARY[0], "response.reasoning_summary_text.delta"),
        *("response.reasoning_summary_text.done", _SUMMARY[1]),
    ),
}
_EMPTY: dict[str, Item] = {
    "output_text": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "refusal": {"type": "refusal", "refusal": ""},
    "summary_text": {"type": "summary_text", "text": ""},
}
_PARTS = {"message": "content", "reasoning": "summary"}


class OpenItem:
    """An item that is being made."""

    def __init__(self, item: Item, index: int, emit: Emit) -> None:
        self.item, self._index, self._emit = item, index, emit
        self._parts = _PARTS.get(item["type"], "")
        self._open_part: int | None = None
        self.closed = False
        emit("response.output_item.added", output_index=index, item=_copy(item))

    def text(self, part: int, delta: str, kind: str = "output_text") -> None:
        """More of a part; a part that is new opens, and closes the one before it."""
        parts = self.item[self._parts]
        while len(parts) <= part:
            self._close_part()
            parts.append(dict(_EMPTY[kind]))
            self._open_part = len(parts) - 1
            self._tell(_KINDS[kind].opened, part=dict(parts[-1]))
        if delta:
            kind = parts[part]["type"]
            parts[part][_KINDS[kind].text] += delta
            self._tell(_KINDS[kind].delta, delta=delta, **_KINDS[kind].extra)

    def arguments(self, delta: str) -> None:
        """More of a function call's arguments."""
        self.item["arguments"] += delta
        self._emit(
            "response.function_call_arguments.delta", item_id=self.item["id"], output_index=self._index, delta=delta
        )

    def close(self, final: Item | None = None, status: Literal["completed", "incomplete"] = "completed") -> None:
        """Nothing more comes. final: the whole item; what of it was not told yet is told now."""
        if self.closed:
            return
        self.closed = True
        for number, part in enumerate((final or {}).get(self._parts, [])):
            self._complete(number, part)
        self._close_part()
        if self.item["type"] == "function_call":
            self._close_call((final or self.item)["arguments"])
        self.item |= {"status": status}
        self._emit("response.output_item.done", output_index=self._index, item=_copy(self.item))

    def _complete(self, number: int, part: Item) -> None:
        kind = part["type"]
        told = self.item[self._parts]
        if number >= len(told):
            self.text(number, part[_KINDS[kind].text], kind)
        told[number] = {**_EMPTY[kind], **part}
        self._open_part = number if self._open_part is None or number >= self._open_part else self._open_part

    def _close_part(self) -> None:
        if self._open_part is None:
            return
        part = self.item[self._parts][self._open_part]
        kind = _KINDS[part["type"]]
        self._tell(kind.done, **{kind.text: part[kind.text]}, **kind.extra)
        self._tell(kind.closed, part=dict(part))
        self._open_part = None

    def _close_call(self, arguments: str) -> None:
        if not self.item["arguments"] and arguments:
            self.arguments(arguments)
        self.item["arguments"] = arguments
        where = {"item_id": self.item["id"], "output_index": self._index}
        self._emit(
            "response.function_call_arguments.done", **where, name=self.item["name"], arguments=self.item["arguments"]
        )

    def _tell(self, event: str, **fields: Any) -> None:
        index = "content_index" if self._parts == "content" else "summary_index"
        where = {"item_id": self.item["id"], "output_index": self._index, index: self._open_part}
        self._emit(event, **where, **fields)


class Output:
    """The items of one response, in the order in which they opened; several may be open at once."""

    def __init__(self, emit: Emit, response_id: str) -> None:
        self._emit, self._response = emit, response_id
        self._opened: list[OpenItem] = []

    @property
    def items(self) -> list[Item]:
        """As they are now."""
        return [_copy(each.item) for each in self._opened]

    def open(self, item: Item) -> OpenItem:
        """A new item, under an id of its own: agents that work side by side never share one."""
        whole = {**_copy(item), "id": item_id(item["type"], self._response), "status": "in_progress"}
        opened = OpenItem(whole, len(self._opened), self._emit)
        self._opened.append(opened)
        return opened

    def add(self, item: Item) -> None:
        """A whole item: opened, told and closed."""
        empty = {**item, _PARTS[item["type"]]: []} if item["type"] in _PARTS else item
        self.open({**empty, "arguments": ""} if item["type"] == "function_call" else empty).close(item)

    def close(self) -> None:
        """Close what is still open as incomplete."""
        for each in self._opened:
            each.close(status="incomplete")


def _copy(item: Item) -> Item:
    """As deep as it changes while the item grows."""
    return {
        key: [dict(part) for part in value] if key in ("content", "summary") else value for key, value in item.items()
    }
