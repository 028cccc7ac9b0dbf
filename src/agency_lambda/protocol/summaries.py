"""Deltas of the summaries of reasoning items."""

from collections import defaultdict

from agency_lambda.protocol.item_builder import rest_of
from agency_lambda.protocol.items import PARAGRAPH, summary_text
from agency_lambda.protocol.types import Event, Item


class SummaryDeltas:
    """Together the deltas of an item are its `summary_text`."""

    def __init__(self) -> None:
        self._sent: defaultdict[str, list[str]] = defaultdict(list)
        self._parts: dict[str, int] = {}  # an item's id -> the index of its last part

    def of_event(self, event: Event) -> str:
        """Return the delta of `response.reasoning_summary_text.delta`; a second part begins a paragraph."""
        item_id, part = event["item_id"], event["summary_index"]
        begins = self._parts.get(item_id, part) != part
        delta: str = f"{PARAGRAPH}{event['delta']}" if begins else event["delta"]
        self._parts[item_id] = part
        self._sent[item_id].append(delta)
        return delta

    def rest_of(self, item: Item) -> str:
        """Return what no event has brought."""
        rest = rest_of(summary_text(item), "".join(self._sent[item["id"]]))
        self._sent[item["id"]].append(rest)
        return rest
