"""The items of a response, as they grow, as messages of a run."""

from collections.abc import Iterator

from agency_lambda.protocol.ag_ui.agents import AgentEvents
from agency_lambda.protocol.ag_ui.request import Message
from agency_lambda.protocol.ag_ui.thread import message_id
from agency_lambda.protocol.items import text_of
from agency_lambda.protocol.types import Event, Item

# A request for an approval is one, too, so that a thread shows that it waits, and for what.
_THOUGHTS = ("reasoning", "mcp_approval_request")
_TEXTS = {"message": "TEXT_MESSAGE", "reasoning": "REASONING_MESSAGE"}


class ItemEvents:
    """is_current: see AgentEvents."""

    def __init__(self, response_id: str, *, is_current: bool) -> None:
        self._response_id = response_id
        self._agents = AgentEvents(is_current=is_current)
        self._messages: dict[str, Message] = {}  # by their ids
        self._texts: dict[str, list[str]] = {}  # what was sent of each
        self._arguments: dict[str, list[str]] = {}  # and of each call
        self._calls: dict[str, str] = {}  # the item's id -> the call's
        self._caller: str | None = None  # the message that the next call belongs to
        self.asked: list[str] = []

    def follow(self, response_id: str) -> None:
        self._response_id, self._caller = response_id, None
        self.asked.clear()

    @property
    def messages(self) -> list[Message]:
        for name, message in self._messages.items():
            if name in self._texts:
                message["content"] = "".join(self._texts[name])
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
                yield from self._add_text("message", self._id(event["item_id"]), event["delta"])
            case "reasoning_summary_text.delta":
                yield from self._add_text("reasoning", self._id(event["item_id"]), event["delta"])
            case "function_call_arguments.delta":
                yield from self._add_arguments(self._calls[self._id(event["item_id"])], event["delta"])
            case "output_item.done":
                if event["item"]["type"] == "mcp_approval_request":
                    self.asked.append(event["item"]["id"])
                yield from self._close(self._named(event["item"]))

    def finish(self, *, is_interrupted: bool) -> Iterator[Event]:
        return self._agents.finish(is_interrupted=is_interrupted)

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
            self._caller = name
            self._add_message(name, {"role": "assistant", "name": item["agent"]})
            yield {"type": "TEXT_MESSAGE_START", "messageId": name, "role": "assistant", "name": item["agent"]}
        elif kind == "function_call":
            yield from self._open_call(name, item)
        elif kind in _THOUGHTS:
            self._caller, owner = None, self._agents.owner(item)
            self._add_message(name, {"role": "reasoning", **owner})
            yield {"type": "REASONING_START", "messageId": name, **owner}
            yield {"type": "REASONING_MESSAGE_START", "messageId": name, "role": "reasoning", **owner}
            yield from self._add_text("reasoning", name, _summary(item))
            yield from self._agents.asks(item)

    def _close(self, item: Item) -> Iterator[Event]:
        name, kind = item["id"], item["type"]
        if kind == "message":
            yield from self._add_rest("message", name, text_of(item["content"]))
            yield {"type": "TEXT_MESSAGE_END", "messageId": name}
        elif kind in _THOUGHTS:
            yield from self._add_rest("reasoning", name, _summary(item))
            yield from self._agents.answered(item)
            yield {"type": "REASONING_MESSAGE_END", "messageId": name}
            yield {"type": "REASONING_END", "messageId": name}
        elif kind == "function_call":
            sent = "".join(self._arguments[item["call_id"]])
            yield from self._add_arguments(item["call_id"], item["arguments"].removeprefix(sent))
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

    def _add_message(self, name: str, message: Message) -> None:
        self._messages[name], self._texts[name] = {"id": name, **message, "content": ""}, []

    def _add_text(self, kind: str, name: str, delta: str) -> Iterator[Event]:
        if delta:  # clients before 0.0.48 refuse an empty one
            self._texts[name].append(delta)
            yield {"type": f"{_TEXTS[kind]}_CONTENT", "messageId": name, "delta": delta}

    def _add_rest(self, kind: str, name: str, text: str) -> Iterator[Event]:
        sent = "".join(self._texts[name])
        if text.startswith(sent):
            yield from self._add_text(kind, name, text[len(sent) :])

    def _add_arguments(self, call_id: str, delta: str) -> Iterator[Event]:
        if delta:
            self._arguments[call_id].append(delta)
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": delta}


def _summary(item: Item) -> str:
    if item["type"] == "mcp_approval_request":
        return f"{item['agent']} asks a person: {item['name']}"
    return "\n\n".join(part["text"] for part in item["summary"])
