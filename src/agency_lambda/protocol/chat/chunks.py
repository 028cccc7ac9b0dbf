"""The chunks of a streamed chat completion, made of the events of a run, and of those that continue it."""

from collections.abc import Iterator
from typing import Any

from agency_lambda.protocol.chat.completion import (
    annotations,
    approval_line,
    finish_reason,
    head,
    image,
    is_image,
    tool_call,
    usage,
)
from agency_lambda.protocol.chat.request import CreateChatCompletion
from agency_lambda.protocol.chat.stop import StopSequences
from agency_lambda.protocol.file_links import FileLinks
from agency_lambda.protocol.items import PARAGRAPH
from agency_lambda.protocol.obfuscation import padding
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.summaries import SummaryDeltas
from agency_lambda.protocol.types import Event, Item

type Chunk = dict[str, Any]


class ChunkBuilder:
    def __init__(self, chat: CreateChatCompletion, response: ResponseObject, links: FileLinks) -> None:
        self._chat, self._stops, self._links = chat, StopSequences(chat.stops), links
        self._head = head(chat, response, "chat.completion.chunk")
        self._head |= {"service_tier": response["service_tier"], "system_fingerprint": None}
        self._calls: dict[str, int] = {}  # id of an item -> index of its call
        self._summaries = SummaryDeltas()
        self._lines: set[str] = set()  # ids of items with a paragraph of reasoning
        self._speaks: set[str] = set()  # ids of messages
        self._images = 0
        self._responses: dict[str, ResponseObject] = {response["id"]: response}  # as they are by now
        self.asked: list[Item] = []  # of persons, before the run goes on

    def begin(self) -> Chunk:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def chunks(self, event: Event) -> Iterator[Chunk]:
        """Yield what an event means for the client."""
        match event["type"]:
            case "response.output_item.added":
                yield from self._added(event["item"])
            case "response.output_text.delta":
                yield from self._text(event["item_id"], event["delta"])
            case "response.refusal.delta":
                yield self._chunk({"refusal": event["delta"]})
            case "response.function_call_arguments.delta":
                yield from self._arguments(event["item_id"], event["delta"])
            case "response.reasoning_summary_text.delta":
                yield from self._summary(event["item_id"], self._summaries.of_event(event))
            case "response.output_item.done":
                yield from self._done(event["item"])
            case _ if "response" in event:
                self._responses[event["response"]["id"]] = event["response"]

    @property
    def response(self) -> ResponseObject:
        """Return the last response, as far as its end is known."""
        response = [*self._responses.values()][-1]
        return response if response["output"] else {**response, "output": self.asked}

    def end(self) -> Iterator[Chunk]:
        """Yield the last chunks of a run that has an answer."""
        yield from self._content(self._stops.end())
        responses = [*self._responses.values()]
        reason = finish_reason(responses[-1], calls=bool(self._calls), stopped=self._stops.found)
        yield self._chunk({}, reason)
        if self._chat.includes_usage:
            yield {**self._head, "choices": [], "usage": usage(responses)}

    def _added(self, item: Item) -> Iterator[Chunk]:
        kind = item["type"]
        if kind == "function_call" and not self._stops.found:
            index = self._calls[item["id"]] = len(self._calls)
            call = tool_call({**item, "arguments": ""})
            yield self._chunk({"tool_calls": [{"index": index, **call}]})
        elif kind == "mcp_approval_request":
            self.asked.append(item)
            yield from self._line(item["id"], approval_line(item))
        elif kind == "reasoning":
            yield from self._summary(item["id"], self._summaries.rest_of(item))

    def _done(self, item: Item) -> Iterator[Chunk]:
        if item["type"] == "message" and (found := annotations(item, self._links)):
            yield self._chunk({"annotations": found})
        elif is_image(item):
            yield self._chunk({"images": [image(item, self._images)]})
            self._images += 1
        elif item["type"] == "reasoning":
            yield from self._summary(item["id"], self._summaries.rest_of(item))

    def _text(self, item_id: str, delta: str) -> Iterator[Chunk]:
        before = PARAGRAPH if self._speaks and item_id not in self._speaks else ""
        self._speaks.add(item_id)
        yield from self._content(self._stops.add(before + delta))

    def _content(self, text: str) -> Iterator[Chunk]:
        if text:
            yield self._chunk({"content": text})

    def _arguments(self, item_id: str, delta: str) -> Iterator[Chunk]:
        if (index := self._calls.get(item_id)) is not None:
            yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": delta}}]})

    def _summary(self, item_id: str, delta: str) -> Iterator[Chunk]:
        if self._chat.shows_reasoning:
            yield from self._line(item_id, delta)

    def _line(self, item_id: str, delta: str) -> Iterator[Chunk]:
        """Yield a piece of reasoning; that of another item begins a paragraph."""
        if delta:
            before = PARAGRAPH if self._lines and item_id not in self._lines else ""
            self._lines.add(item_id)
            yield self._chunk({"reasoning_content": before + delta})

    def _chunk(self, delta: Chunk, reason: str | None = None) -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        more: Chunk = {"usage": None} if self._chat.includes_usage else {}
        if self._chat.obfuscates:
            more["obfuscation"] = padding(str(delta))
        return {**self._head, "choices": [choice], **more}
