"""The items of a response, as they grow, as messages of a run."""

from collections.abc import Iterator, Sequence

from agency_lambda.protocol.ag_ui.agents import AgentEvents
from agency_lambda.protocol.ag_ui.reasoning import ReasoningEvents
from agency_lambda.protocol.ag_ui.request import Message
from agency_lambda.protocol.ag_ui.thread import message_id
from agency_lambda.protocol.item_builder import rest_of
from agency_lambda.protocol.items import text_of
from agency_lambda.protocol.types import Event, Item


class ItemEvents:
    """Translates the events of items.

    Args:
        response_id: the response whose items come.
        known: the client's messages.
        is_current: whether the client speaks AG-UI 1.0, which has subagents.
    """

    def __init__(self, response_id: str, known: Sequence[Message], *, is_current: bool) -> None:
        self._response_id = response_id
        self._agents = AgentEvents(is_current=is_current)
        self._messages: dict[str, Message] = {}  # by their ids
        self._reasoning = ReasoningEvents(self._messages, known)
        self._texts: dict[str, list[str]] = {}  # what was sent of each message
        self._arguments: dict[str, list[str]] = {}  # and of each call
        self._calls: dict[str, str] = {}  # the item's id -> the call's
        self._caller: str | None = None  # the message that the next call belongs to
        self.asked: list[str] = []

    def follow(self, response_id: str) -> None:
        self._response_id, self._caller = response_id, None
        self.asked.clear()

    @property
    def messages(self) -> list[Message]:
        for name, text in self._texts.items():
            self._messages[name]["content"] = "".join(text)
        for message in self._messages.values():
            for call in message.get("toolCalls", ()):
                call["function"]["arguments"] = "".join(self._arguments[call["id"]])
        return list(self._messages.values())

    @property
    def pending_calls(self) -> list[str]:
        return list(self._arguments)

    def translate(self, event: Event) -> Iterator[Event]:
        match event["type"].removeprefix("response."):
            case "output_item.added":
                yield from self._open(self._named(event["item"]))
            case "output_text.delta" | "refusal.delta":
                yield from self._add_text(self._id(event["item_id"]), event["delta"])
            case "reasoning_summary_text.delta":
                yield from self._reasoning.add({**event, "item_id": self._id(event["item_id"])})
            case "function_call_arguments.delta":
                yield from self._add_arguments(self._calls[self._id(event["item_id"])], event["delta"])
            case "output_item.done":
                if event["item"]["type"] == "mcp_approval_request":
                    self.asked.append(event["item"]["id"])
                yield from self._close(self._named(event["item"]))

    def finish(self, *, is_interrupted: bool) -> Iterator[Event]:
        yield from self._reasoning.end()
        yield from self._agents.finish(is_interrupted=is_interrupted)

    def _id(self, item_id: str) -> str:
        return message_id(self._response_id, item_id)

    def _named(self, item: Item) -> Item:
        parent = {"parent": self._id(item["parent"])} if item.get("parent") else {}
        return {**item, "id": self._id(item["id"]), **parent}

    def _open(self, item: Item) -> Iterator[Event]:
        name, kind = item["id"], item["type"]
        if kind in ("message", "reasoning", "image_generation_call") and "agent" in item:
            yield from self._agents.speaks(item)
        if kind == "message":
            yield from self._reasoning.end()
            self._caller, self._texts[name] = name, []
            self._messages[name] = {"id": name, "role": "assistant", "name": item["agent"], "content": ""}
            yield {"type": "TEXT_MESSAGE_START", "messageId": name, "role": "assistant", "name": item["agent"]}
        elif kind == "function_call":
            yield from self._reasoning.end()
            yield from self._open_call(name, item)
        elif kind in ("reasoning", "mcp_approval_request"):
            self._caller = None
            yield from self._reasoning.begin(item)
            yield from self._agents.asks(item)

    def _close(self, item: Item) -> Iterator[Event]:
        name, kind = item["id"], item["type"]
        if kind == "message":
            text = text_of(item["content"])
            yield from self._add_text(name, rest_of(text, "".join(self._texts[name])))
            self._texts[name] = [text]
            cited = [each for part in item["content"] for each in part.get("annotations", ())]
            metadata = {"metadata": {"annotations": cited}} if cited else {}
            self._messages[name] |= metadata
            yield {"type": "TEXT_MESSAGE_END", "messageId": name, **metadata}
        elif kind == "reasoning":
            yield from self._reasoning.complete(item)
            yield from self._agents.answered(item)
        elif kind == "function_call":
            yield from self._add_arguments(
                item["call_id"], rest_of(item["arguments"], "".join(self._arguments[item["call_id"]]))
            )
            yield {"type": "TOOL_CALL_END", "toolCallId": item["call_id"]}
        elif kind == "image_generation_call":
            content = {"agent": item["agent"], "status": item["status"], "result": item.get("result")}
            yield {"type": "ACTIVITY_SNAPSHOT", "messageId": name, "activityType": kind, "content": content}

    def _open_call(self, name: str, item: Item) -> Iterator[Event]:
        if self._caller is None:
            self._caller = name
            self._messages[name] = {"id": name, "role": "assistant"}
        call_id = self._calls[item["id"]] = item["call_id"]
        self._arguments[call_id] = []
        call = {"id": call_id, "type": "function", "function": {"name": item["name"], "arguments": ""}}
        self._messages[self._caller].setdefault("toolCalls", []).append(call)
        start = {"toolCallId": call_id, "toolCallName": item["name"], "parentMessageId": self._caller}
        yield {"type": "TOOL_CALL_START", **start}

    def _add_text(self, name: str, delta: str) -> Iterator[Event]:
        if delta:  # clients before 0.0.48 refuse an empty one
            self._texts[name].append(delta)
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": name, "delta": delta}

    def _add_arguments(self, call_id: str, delta: str) -> Iterator[Event]:
        if delta:
            self._arguments[call_id].append(delta)
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": delta}
