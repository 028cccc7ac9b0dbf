"""The output of a response as it grows: items, and the events that tell of them.

Every item that opens closes, and every part of it, in the standard order; who feeds it need only say what is new.
Order and names: https://www.openresponses.org/specification (Streaming).
"""

import hashlib
import uuid
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Event = dict[str, Any]
Item = dict[str, Any]
Status = Literal["completed", "incomplete", "failed"]
Emit = Callable[..., None]
"""(type, **fields): an event, numbered by whoever sends it out."""

PREFIX = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
    "image_generation_call": "ig",
}


def new_id(kind: str) -> str:
    """A fresh id with the prefix of its kind: msg_..., fc_..., rs_..., resp_..., conv_..."""
    return f"{PREFIX.get(kind, kind)}_{uuid.uuid4().hex}"


def item_id(kind: str, response_id: str, *origin: str) -> str:
    """An id of an item of a response; it says of which one, so that a reference to it is found.

    origin: what the item comes from; the same origin has the same id, also after a crash. None: it is a fresh one.
    """
    own = hashlib.sha256(chr(0).join(origin).encode()).hexdigest() if origin else uuid.uuid4().hex
    return f"{PREFIX.get(kind, kind)}_{response_id.partition('_')[2]}{own[:16]}"


def response_id_of(item: str) -> str:
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


class ItemBuilder:
    """An item that is being made. What it grows by is joined when it is looked at: there may be 100,000 deltas."""

    def __init__(self, item: Item, index: int, emit: Emit) -> None:
        self._item, self._index, self._emit = item, index, emit
        self._deltas: list[str] = []  # of the open part, or of the arguments, that are not in the item yet
        self._parts = _PARTS.get(item["type"], "")
        self._open_part: int | None = None
        self._numbers: dict[object, int] = {}
        self.closed = False

    @property
    def item(self) -> Item:
        """The item as it is now."""
        self._join()
        return self._item

    def _join(self) -> None:
        if self._deltas:
            grows, name = self._item, "arguments"
            if self._open_part is not None:
                grows = self._item[self._parts][self._open_part]
                name = _KINDS[grows["type"]].text
            grows[name] = "".join((grows[name], *self._deltas))
            self._deltas.clear()

    def begin(self) -> None:
        """Tell that it is there."""
        self._emit("response.output_item.added", output_index=self._index, item=_copy(self.item))

    def restore(self, event: Event) -> None:
        """Take in what was told of it before, by a run that was interrupted."""
        kind = event["type"]
        if kind.endswith(".delta"):
            self._deltas.append(event["delta"])
        elif kind.endswith("part.added"):
            self.item[self._parts].append(dict(event["part"]))
            self._open_part = len(self._item[self._parts]) - 1
        elif kind.endswith("part.done"):
            self._join()
            self._open_part = None
        elif kind == "response.output_item.done":
            self._deltas.clear()
            self._item, self.closed = _copy(event["item"]), True

    def text(self, part: object, delta: str, kind: str = "output_text") -> None:
        """More of a part; a part that is new opens, and closes the one before it.

        part: whatever tells it from the item's other parts; not every server counts from 0.
        """
        if self.closed:
            return
        parts = self._item[self._parts]
        number = self._numbers.get(part)
        if (
            number is None or number != self._open_part
        ):  # words that come late for a closed part are a part of their own
            number = self._numbers[part] = len(parts)
            self._close_part()
            parts.append(dict(_EMPTY[kind]))
            self._open_part = number
            self._tell(_KINDS[kind].opened, part=dict(parts[-1]))
        if delta:
            kind = parts[number]["type"]
            self._deltas.append(delta)
            self._tell(_KINDS[kind].delta, delta=delta, **_KINDS[kind].extra)

    def arguments(self, delta: str) -> None:
        """More of a function call's arguments."""
        if self.closed:
            return
        self._deltas.append(delta)
        self._emit(
            "response.function_call_arguments.delta", item_id=self._item["id"], output_index=self._index, delta=delta
        )

    def close(self, final: Item | None = None, status: Status = "completed") -> None:
        """Nothing more comes. final: the whole item; what of it was not told yet is told now."""
        if self.closed:
            return
        self._complete((final or {}).get(self._parts, []))
        self._close_part()
        if self.item["type"] == "function_call":
            self._close_call((final or self.item)["arguments"])
        if self.item["type"] == "image_generation_call":
            self._item |= final or {}
            status = "failed" if status == "incomplete" or self.item["result"] is None else status
        self.closed = True
        self._item |= {"status": status}
        self._emit("response.output_item.done", output_index=self._index, item=_copy(self.item))

    def _complete(self, final: Sequence[Item]) -> None:
        """Send what of the whole item's parts was not sent yet. A client never sees a part change its type or place."""
        sent = self.item[self._parts] if self._parts else []
        if [part["type"] for part in sent] == [part["type"] for part in final[: len(sent)]]:
            for number, part in enumerate(final):
                self._complete_part(number, part)
            return
        for kind in dict.fromkeys(part["type"] for part in final):
            whole, sofar = _joined(final, kind), _joined(sent, kind)
            if whole != sofar and whole.startswith(sofar):
                self.text(("final", kind), whole[len(sofar) :], kind)

    def _complete_part(self, number: int, part: Item) -> None:
        kind, sent = part["type"], self.item[self._parts]
        whole = part[_KINDS[kind].text]
        sofar = sent[number][_KINDS[kind].text] if number < len(sent) else ""
        if number >= len(sent) or (number == self._open_part and whole.startswith(sofar)):
            self._numbers["final", number] = number
            self.text(("final", number), whole[len(sofar) :], kind)
            self._join()
        sent[number] = {**_EMPTY[kind], **part}

    def _close_part(self) -> None:
        if self._open_part is None:
            return
        part = self.item[self._parts][self._open_part]
        kind = _KINDS[part["type"]]
        self._tell(kind.done, **{kind.text: part[kind.text]}, **kind.extra)
        self._tell(kind.closed, part=dict(part))
        self._open_part = None

    def _close_call(self, arguments: str) -> None:
        if arguments.startswith(self.item["arguments"]) and arguments != self.item["arguments"]:
            self.arguments(arguments[len(self.item["arguments"]) :])
        self.item["arguments"] = arguments
        where = {"item_id": self.item["id"], "output_index": self._index}
        self._emit(
            "response.function_call_arguments.done", **where, name=self.item["name"], arguments=self.item["arguments"]
        )

    def _tell(self, event: str, **fields: Any) -> None:
        index = "content_index" if self._parts == "content" else "summary_index"
        where = {"item_id": self._item["id"], "output_index": self._index, index: self._open_part}
        self._emit(event, **where, **fields)


class OutputBuilder:
    """The items of one response, in the order in which they opened; several may be open at once."""

    def __init__(self, emit: Emit, response_id: str) -> None:
        self._emit, self._response = emit, response_id
        self._opened: list[ItemBuilder] = []
        self._known: dict[str | None, ItemBuilder] = {}

    @property
    def items(self) -> list[Item]:
        """As they are now."""
        return [_copy(each.item) for each in self._opened]

    def open(self, item: Item, known: str | None = None) -> ItemBuilder:
        """A new item, under an id of its own: agents that work side by side never share one.

        known: the id of an item that may have been told of before, and then goes on.
        """
        if known in self._known:
            return self._known[known]
        whole = {**_copy(item), "id": known or item_id(item["type"], self._response), "status": "in_progress"}
        opened = self._append(whole)
        opened.begin()
        return opened

    def add(self, item: Item, known: str | None = None) -> None:
        """A whole item: opened, told and closed."""
        self.open(without_content(item), known).close(item)

    def restore(self, events: Iterable[Event], kept: Container[str]) -> None:
        """Take in what an interrupted run has told, and close what is neither done nor among `kept` ids."""
        for event in events:
            if event["type"] == "response.output_item.added":
                self._append(_copy(event["item"]))
            elif "output_index" in event:
                self._opened[event["output_index"]].restore(event)
        for each in self._opened:
            if each.item["id"] not in kept and "tool" not in each.item:
                each.close(status="incomplete")

    def _append(self, item: Item) -> ItemBuilder:
        opened = ItemBuilder(item, len(self._opened), self._emit)
        self._opened.append(opened)
        self._known[item["id"]] = opened
        return opened

    def close(self) -> None:
        """Close what is still open as incomplete."""
        for each in self._opened:
            each.close(status="incomplete")


def without_content(item: Item) -> Item:
    """Return an item as it is when it opens: without what comes when it grows."""
    empty: Item = {name: [] for name in ("content", "summary") if name in item}
    if "arguments" in item:
        empty["arguments"] = ""
    if "result" in item:
        empty["result"] = None  # the client is sent an image once
    return {**item, **empty}


def _joined(parts: Iterable[Item], kind: str) -> str:
    return "".join(part[_KINDS[kind].text] for part in parts if part["type"] == kind)


def _copy(item: Item) -> Item:
    """As deep as it changes while the item grows."""
    return {
        key: [dict(part) for part in value] if key in ("content", "summary") else value for key, value in item.items()
    }
