"""What is shown before an answer: what agents do, a paragraph each in one message, and summaries of reasoning."""

from collections.abc import Iterator, Sequence

from agency_lambda.protocol.ag_ui.request import Message
from agency_lambda.protocol.approvals import activity_line
from agency_lambda.protocol.items import PARAGRAPH
from agency_lambda.protocol.summaries import SummaryDeltas
from agency_lambda.protocol.types import Event, Item


class ReasoningEvents:
    """Writes messages of reasoning, each of which grows until another kind of message begins.

    Args:
        messages: those of the run by their ids, to which these are added.
        known: the client's messages. Those of reasoning among them go on.
    """

    def __init__(self, messages: dict[str, Message], known: Sequence[Message]) -> None:
        self._messages = messages
        self._known = {each["id"]: str(each["content"]) for each in known if each["role"] == "reasoning"}
        self._open: str | None = None
        self._holders: dict[str, str] = {}  # an item's id -> the message that has its text
        self._summaries = SummaryDeltas()
        self._begun: set[str] = set()  # items with a paragraph

    def begin(self, item: Item) -> Iterator[Event]:
        if self._open is None:
            self._open = item["id"]
            self._messages[self._open] = {"id": self._open, "role": "reasoning", "content": ""}
            yield {"type": "REASONING_START", "messageId": self._open}
            yield {"type": "REASONING_MESSAGE_START", "messageId": self._open, "role": "reasoning"}
        self._holders[item["id"]] = self._open
        if item["type"] == "mcp_approval_request":  # so that a thread shows that it waits, and for what
            yield from self._add(item["id"], activity_line(item))
        else:
            yield from self.complete(item)

    def add(self, event: Event) -> Iterator[Event]:
        """Add a delta of a summary."""
        return self._add(event["item_id"], self._summaries.of_event(event))

    def _add(self, name: str, delta: str) -> Iterator[Event]:
        """Add to the text of an item, which begins a paragraph."""
        holder = self._holders[name]
        if not delta or holder != self._open:
            return
        begins = name not in self._begun and self._messages[holder]["content"]
        self._begun.add(name)
        text = f"{PARAGRAPH}{delta}" if begins else delta
        self._messages[holder]["content"] += text
        if new := self._unknown(holder, text):
            yield {"type": "REASONING_MESSAGE_CONTENT", "messageId": holder, "delta": new}

    def _unknown(self, holder: str, text: str) -> str:
        """Return what the client does not have of the text that comes next, as no snapshot removes reasoning."""
        known = self._known.pop(holder, "")
        if known.startswith(text):
            self._known[holder] = known[len(text) :]
            return ""
        return text[len(known) :] if text.startswith(known) else text

    def complete(self, item: Item) -> Iterator[Event]:
        """Add what was not sent of an item's text."""
        return self._add(item["id"], self._summaries.rest_of(item))

    def end(self) -> Iterator[Event]:
        if self._open is not None:
            yield {"type": "REASONING_MESSAGE_END", "messageId": self._open}
            yield {"type": "REASONING_END", "messageId": self._open}
            self._open = None
