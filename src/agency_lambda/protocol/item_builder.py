"""An output item that grows, and the events that announce it.

Order and names of the events: https://www.openresponses.org/specification (Streaming).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agency_lambda.protocol.types import Emit, Event, Item, Status


@dataclass(frozen=True)
class _PartKind:
    """The names of a part's fields and events."""

    index: str
    text: str
    added: str
    delta: str
    text_done: str
    part_done: str
    extra: dict[str, Any] = field(default_factory=dict)


_CONTENT = ("response.content_part.added", "response.content_part.done")
_SUMMARY = ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done")
_PART_KINDS = {
    "output_text": _PartKind(
        *("content_index", "text", _CONTENT[0], "response.output_text.delta", "response.output_text.done", _CONTENT[1]),
        extra={"logprobs": []},
    ),
    "refusal": _PartKind(
        *("content_index", "refusal", _CONTENT[0], "response.refusal.delta", "response.refusal.done", _CONTENT[1])
    ),
    "summary_text": _PartKind(
        *("summary_index", "text", _SUMMARY[0], "response.reasoning_summary_text.delta"),
        *("response.reasoning_summary_text.done", _SUMMARY[1]),
    ),
}
_EMPTY_PARTS: dict[str, Item] = {
    "output_text": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "refusal": {"type": "refusal", "refusal": ""},
    "summary_text": {"type": "summary_text", "text": ""},
}
_PARTS_FIELDS = {"message": "content", "reasoning": "summary"}


class ItemBuilder:
    def __init__(self, item: Item, index: int, emit: Emit) -> None:
        self._item, self._index, self._emit = item, index, emit
        # Of the open part or of the arguments. They are joined only when read: there may be 100,000.
        self._deltas: list[str] = []
        self._parts_field = _PARTS_FIELDS.get(item["type"], "")
        self._open_part: int | None = None
        self._part_numbers: dict[object, int] = {}
        self.closed = False

    @property
    def item(self) -> Item:
        self._join_deltas()
        return self._item

    def _join_deltas(self) -> None:
        if self._deltas:
            target, name = self._item, "arguments"
            if self._open_part is not None:
                target = self._item[self._parts_field][self._open_part]
                name = _PART_KINDS[target["type"]].text
            target[name] = "".join((target[name], *self._deltas))
            self._deltas.clear()

    def begin(self) -> None:
        """Emit `response.output_item.added`."""
        self._emit("response.output_item.added", output_index=self._index, item=copy_item(self.item))

    def restore(self, event: Event) -> None:
        """Apply an event of an earlier attempt."""
        kind = event["type"]
        if kind.endswith(".delta"):
            self._deltas.append(event["delta"])
        elif kind.endswith("part.added"):
            self.item[self._parts_field].append(dict(event["part"]))
            self._open_part = len(self._item[self._parts_field]) - 1
        elif kind.endswith("annotation.added"):
            self.item[self._parts_field][event["content_index"]]["annotations"].append(event["annotation"])
        elif kind.endswith("part.done"):
            self._join_deltas()
            self._open_part = None
        elif kind == "response.output_item.done":
            self._deltas.clear()
            self._item, self.closed = copy_item(event["item"]), True

    def add_text(self, part: object, delta: str, kind: str = "output_text") -> None:
        """Append text. part: any key; one that is new or closed opens a part."""
        if self.closed:
            return
        parts = self._item[self._parts_field]
        number = self._part_numbers.get(part)
        if number is None or number != self._open_part:
            self._close_part()
            number = self._part_numbers[part] = self._open_part = len(parts)
            parts.append(dict(_EMPTY_PARTS[kind]))
            self._emit_for_part(_PART_KINDS[kind].added, part=dict(parts[-1]))
        if delta:
            names = _PART_KINDS[parts[number]["type"]]
            self._deltas.append(delta)
            self._emit_for_part(names.delta, delta=delta, **names.extra)

    def add_arguments(self, delta: str) -> None:
        if self.closed:
            return
        self._deltas.append(delta)
        self._emit(
            "response.function_call_arguments.delta", item_id=self._item["id"], output_index=self._index, delta=delta
        )

    def add_parts(self, parts: Sequence[Item]) -> None:
        """Emit what is missing of the item's parts, and close them."""
        if not self.closed:
            self._add_missing_parts(parts)
            self._close_part()

    def close(self, final: Item | None = None, status: Status = "completed") -> None:
        """Emit what is missing. final: the whole item, if known."""
        if self.closed:
            return
        self.add_parts((final or {}).get(self._parts_field, []))
        if final and "encrypted_content" in final:
            self._item["encrypted_content"] = final["encrypted_content"]
        if self.item["type"] == "function_call":
            self._close_call((final or self.item)["arguments"])
        if self.item["type"] == "image_generation_call":
            self._item |= final or {}
            status = "failed" if status == "incomplete" or self.item["result"] is None else status
        self.closed = True
        self._item |= {"status": status}
        self._emit("response.output_item.done", output_index=self._index, item=copy_item(self.item))

    def rest(self, final: Item) -> Item | None:
        """Return an item with the text that came after this one was closed, None if none did."""
        parts = list[Item]()
        for kind, missing in self._missing_texts(final.get(self._parts_field, [])):
            parts.append({**_EMPTY_PARTS[kind], _PART_KINDS[kind].text: missing})
        return {**final, self._parts_field: parts} if parts else None

    def _missing_texts(self, final: Sequence[Item]) -> Iterator[tuple[str, str]]:
        sent = self.item[self._parts_field] if self._parts_field else []
        for kind in dict.fromkeys(part["type"] for part in final):
            if missing := rest_of(_joined_text(final, kind), _joined_text(sent, kind)):
                yield kind, missing

    def _add_missing_parts(self, final: Sequence[Item]) -> None:
        # A part that was sent never changes its type or its place.
        sent = self.item[self._parts_field] if self._parts_field else []
        if [part["type"] for part in sent] == [part["type"] for part in final[: len(sent)]]:
            for number, part in enumerate(final):
                self._complete_part(number, part)
            return
        for kind, missing in self._missing_texts(final):
            self.add_text(("final", kind), missing, kind)

    def _complete_part(self, number: int, part: Item) -> None:
        kind, sent = part["type"], self.item[self._parts_field]
        whole = part[_PART_KINDS[kind].text]
        so_far = sent[number][_PART_KINDS[kind].text] if number < len(sent) else ""
        if number >= len(sent) or (number == self._open_part and whole.startswith(so_far)):
            self._part_numbers["final", number] = number
            self.add_text(("final", number), whole[len(so_far) :], kind)
            self._join_deltas()
        before = sent[number].get("annotations", [])
        sent[number] = {**_EMPTY_PARTS[kind], **part}
        if number == self._open_part:
            self._emit_annotations(sent[number].get("annotations", []), len(before))

    def _emit_annotations(self, annotations: Sequence[Item], shown: int) -> None:
        for index, each in enumerate(annotations[shown:], shown):
            self._emit_for_part("response.output_text.annotation.added", annotation_index=index, annotation=each)

    def _close_part(self) -> None:
        if self._open_part is None:
            return
        part = self.item[self._parts_field][self._open_part]
        names = _PART_KINDS[part["type"]]
        self._emit_for_part(names.text_done, **{names.text: part[names.text]}, **names.extra)
        self._emit_for_part(names.part_done, part=dict(part))
        self._open_part = None

    def _close_call(self, arguments: str) -> None:
        if missing := rest_of(arguments, self.item["arguments"]):
            self.add_arguments(missing)
        self.item["arguments"] = arguments
        self._emit(
            "response.function_call_arguments.done",
            item_id=self.item["id"],
            output_index=self._index,
            name=self.item["name"],
            arguments=arguments,
        )

    def _emit_for_part(self, event: str, **fields: Any) -> None:
        index = "content_index" if self._parts_field == "content" else "summary_index"
        place = {"item_id": self._item["id"], "output_index": self._index, index: self._open_part}
        self._emit(event, **place, **fields)


def rest_of(whole: str, sent: str) -> str:
    """Return what a text has behind what was sent of it; nothing if that is not its beginning."""
    return whole[len(sent) :] if whole.startswith(sent) else ""


def _joined_text(parts: Iterable[Item], kind: str) -> str:
    return "".join(part[_PART_KINDS[kind].text] for part in parts if part["type"] == kind)


def is_activity(item: Item) -> bool:
    """Return whether an item shows, without contents, that an agent does something."""
    return item["type"] == "reasoning" and "tool" in item


def copy_item(item: Item) -> Item:
    return {
        key: [dict(part) for part in value] if key in ("content", "summary") else value for key, value in item.items()
    }
