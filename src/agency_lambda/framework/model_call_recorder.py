"""Makes what a model streams and answers into items of the response, shown or withheld."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agents.models.fake_id import FAKE_RESPONSES_ID
from openai.types.responses import ResponseRefusalDeltaEvent, ResponseStreamEvent, ResponseTextDeltaEvent

from agency_lambda.framework import public_items
from agency_lambda.framework.models import Reason
from agency_lambda.framework.public_items import is_empty
from agency_lambda.protocol.item_builder import ItemBuilder
from agency_lambda.protocol.types import Item, Status

if TYPE_CHECKING:
    from agency_lambda.framework.response_builder import ResponseBuilder

_TEXT_DELTAS = ResponseTextDeltaEvent | ResponseRefusalDeltaEvent
_DELTAS = {  # event -> the field with its part's number, and the part's type
    "response.output_text.delta": ("content_index", "output_text"),
    "response.refusal.delta": ("content_index", "refusal"),
    "response.reasoning_summary_text.delta": ("summary_index", "summary_text"),
}


class ModelCallRecorder:
    """Adds a model's events and answer to the response. ids: maps an item's index to its id in the response."""

    def __init__(self, builder: "ResponseBuilder", agent: str, *, for_user: bool) -> None:
        self._builder, self._agent, self.for_user = builder, agent, for_user
        self._streams = for_user and not builder.withholds(agent)
        self._open: dict[int, ItemBuilder] = {}
        self._empty: dict[int, Any] = {}  # messages without text yet; some servers send one before each call
        self._files = builder.files_to_show() if self._streams else []
        self._shown_in: str | None = None  # the id of the message that cites them
        self._own_ids: dict[str, str] = {}  # a provider's id of a file -> that here
        self.ids: dict[int, str] = {}

    def record_event(self, event: ResponseStreamEvent) -> None:
        """Add one event of the stream. `record_answer` closes the calls, and what has no end of its own."""
        if not self._streams:
            return
        if event.type == "response.output_item.added":
            self._add(event.output_index, event.item)
            return
        if event.type == "response.output_item.done":
            self._close(event.output_index, event.item)
            return
        index = getattr(event, "output_index", -1)
        if index in self._empty and isinstance(event, _TEXT_DELTAS) and event.delta:
            self._begin(index, self._empty.pop(index))
        opened = self._open.get(index)
        if opened is None:
            return
        if event.type == "response.function_call_arguments.delta":
            opened.add_arguments(event.delta)
        elif event.type in _DELTAS and event.delta:  # type: ignore[union-attr]
            field, kind = _DELTAS[event.type]
            opened.add_text((kind, getattr(event, field)), event.delta, kind)  # type: ignore[union-attr]

    def _add(self, index: int, item: Any) -> None:
        if index in self._open:
            return  # some chat servers announce a refusal twice
        if getattr(item, "id", None) == FAKE_RESPONSES_ID:
            self._close_before(index)
        if item.type == "message":
            self._empty[index] = item
        elif item.type != "function_call" or item.name in self._builder.client_functions:
            self._begin(index, item)  # a handoff's recipient is not known yet

    def _begin(self, index: int, item: Any) -> None:
        if public := self._public(item):
            self._open[index] = self._builder.open(public, None)

    def _close_before(self, index: int) -> None:
        # In a stream of Chat Completions the next item is the only sign that one has ended.
        for other, opened in self._open.items():
            if other != index and opened.item["type"] != "function_call":
                opened.close(self._with_files(opened.item, FAKE_RESPONSES_ID))

    def _close(self, index: int, item: Any) -> None:
        # A client makes a call that is closed, and only a journaled one has an output: `record_answer` closes calls.
        if item.type == "function_call" or is_empty(item):
            return
        if public_items.container_citations([item]):
            return  # the files that it cites are not fetched yet
        if index in self._empty:
            self._begin(index, self._empty.pop(index))
        elif item.type == "reasoning" and index not in self._open:
            self._begin(index, item)  # it is encrypted only now
        opened, public = self._open.get(index), self._public(item)
        if opened and public and _is_same_kind(opened.item, public):
            opened.close(public, status=_status(item))

    def assign_ids(self, items: Sequence[Any]) -> None:
        """Set `ids`, reusing those of streamed items."""
        begun = [self._open[index].item for index in sorted(self._open)]
        for number, item in enumerate(items):
            if not is_empty(item) and (public := self._public(item)):
                before = begun.pop(0) if begun and _is_same_kind(begun[0], public) else None
                self.ids[number] = before["id"] if before else self._builder.new_id(public["type"])

    def note_fetched(self, files: Mapping[str, Any]) -> None:
        """Show files of a provider's containers under their ids here. files: a provider's id -> what is stored."""
        self._own_ids = {provider_id: file.id for provider_id, file in files.items()}
        if not self._streams:
            for file in files.values():
                self._builder.add_file(file.id, file.name, file.container)

    def record_answer(self, items: Sequence[Any], incomplete: Reason | None) -> None:
        """Add the whole answer. incomplete: why it ended early."""
        if not self.ids:
            self.assign_ids(items)
        for number, item in enumerate(items):
            if not is_empty(item) and (public := self._public(item)):
                is_cut = incomplete and item.type == "function_call"
                self._builder.add(public, self.ids.get(number), "incomplete" if is_cut else _status(item))
        if self.for_user:
            self._builder.incomplete = incomplete
            if not self._streams:
                self._builder.withhold(items, self._agent)

    def end(self) -> None:
        """Close unfinished items as incomplete."""
        if self._shown_in is not None:
            self._builder.note_shown(self._files)
        for opened in self._open.values():
            opened.close(status="incomplete")

    def _public(self, item: Any) -> Item | None:
        public = self._builder.public(item, self._agent) if self._streams else None
        return self._with_files(public, item.id) if public else self._builder.activity(item, self._agent)

    def _with_files(self, public: Item, item_id: str) -> Item:
        if self._own_ids and public["type"] == "message":
            public = public_items.with_own_ids(public, self._own_ids)
        is_first = bool(self._files) and self._shown_in in (None, item_id)
        if not is_first or public["type"] != "message" or not public["content"]:
            return public
        self._shown_in = item_id
        return public_items.with_files(public, self._files)


def _is_same_kind(one: Item, other: Item) -> bool:
    return one["type"] == other["type"] and one.get("tool") == other.get("tool")


def _status(item: Any) -> Status:
    return "incomplete" if getattr(item, "status", None) == "incomplete" else "completed"
