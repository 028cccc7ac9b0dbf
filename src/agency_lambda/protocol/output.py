"""The items of a response while it is made."""

from collections.abc import Container, Iterable

from agency_lambda.protocol.ids import item_id
from agency_lambda.protocol.item_builder import ItemBuilder, copy_item, is_activity
from agency_lambda.protocol.types import Emit, Event, Item, Status


class OutputBuilder:
    def __init__(self, emit: Emit, response_id: str) -> None:
        self._emit, self._response_id = emit, response_id
        self._builders: list[ItemBuilder] = []
        self._by_id: dict[str | None, ItemBuilder] = {}
        self._hidden: Container[str | None] = ()

    @property
    def items(self) -> list[Item]:
        return [copy_item(each.item) for each in self._builders]

    def open(self, item: Item, known_id: str | None = None) -> ItemBuilder:
        """Add an item without its content. known_id: of one that an earlier attempt may have added."""
        builder = self._by_id.get(known_id) or self._begin(without_content(item), known_id)
        if is_activity(item):
            builder.add_parts(item["summary"])  # an earlier attempt may have been interrupted before it
        return builder

    def _begin(self, empty: Item, known_id: str | None) -> ItemBuilder:
        new = {**empty, "id": known_id or item_id(empty["type"], self._response_id), "status": "in_progress"}
        if known_id in self._hidden:
            return ItemBuilder(new, 0, _emit_nothing)
        builder = self._append(new)
        builder.begin()
        return builder

    def add(self, item: Item, known_id: str | None = None, status: Status = "completed") -> None:
        builder = self.open(item, known_id)
        if builder.closed and (rest := builder.rest(item)):
            self.add(rest, item_id(item["type"], self._response_id, "rest", builder.item["id"]), status)
        builder.close(item, status)

    def hide(self, ids: Container[str | None]) -> None:
        """Leave out the items that an earlier response has shown."""
        self._hidden = ids

    def restore_items(self, items: Iterable[Item]) -> None:
        """Begin with an earlier attempt's items."""
        for item in items:
            builder = self._append(copy_item(item))
            builder.closed = item.get("status") != "in_progress"

    def restore(self, events: Iterable[Event], resumable_ids: Container[str]) -> None:
        """Apply an earlier attempt's events; close what will not resume."""
        for event in events:
            if event["type"] == "response.output_item.added":
                self._append(copy_item(event["item"]))
            elif "output_index" in event:
                self._builders[event["output_index"]].restore(event)
        for each in self._builders:
            if each.item["id"] not in resumable_ids and not is_activity(each.item):
                each.close(status="incomplete")

    def _append(self, item: Item) -> ItemBuilder:
        builder = ItemBuilder(item, len(self._builders), self._emit)
        self._builders.append(builder)
        self._by_id[item["id"]] = builder
        return builder

    def close(self) -> None:
        for each in self._builders:
            each.close(status="incomplete")


def _emit_nothing(kind: str, **fields: object) -> None:
    return


def without_content(item: Item) -> Item:
    empty: Item = {name: [] for name in ("content", "summary") if name in item}
    if "arguments" in item and item["type"] != "mcp_approval_request":  # it has no deltas
        empty["arguments"] = ""
    if "result" in item:
        empty["result"] = None  # the client is sent an image once
    return {name: value for name, value in item.items() if name != "encrypted_content"} | empty
