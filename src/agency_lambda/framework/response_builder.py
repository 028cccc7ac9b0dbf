"""What a client sees of the agents at work: items of the response, built from an allowlist.

The agent that speaks with the user is shown as it speaks: its messages, its calls of the client's functions, and
summaries of its reasoning if they were asked for. Everything else that agents do (tools, colleagues, handoffs) is
an item of its own: who, which tool, whether it is done; never arguments, outputs, instructions or others' words.

Such an item is of type `reasoning`, because that is what every client knows and none acts on: a `function_call` would
ask the client to run it. Beside its `summary` it has `agent`, `tool`, for a colleague `recipient`, and `parent`, the
id of the item within which it happens.

An image that the speaking agent had the provider make is an `image_generation_call`, as at OpenAI.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from openai.types.responses import ResponseRefusalDeltaEvent, ResponseStreamEvent, ResponseTextDeltaEvent

from agency_lambda.framework.models import Reason
from agency_lambda.protocol.ids import item_id
from agency_lambda.protocol.item_builder import ItemBuilder
from agency_lambda.protocol.output import OutputBuilder, without_content
from agency_lambda.protocol.types import Item

_within: ContextVar[str | None] = ContextVar("within", default=None)  # the item of the tool call that runs here
_PARTS = {"output_text": ("type", "text", "annotations"), "refusal": ("type", "refusal")}
_IMAGES = 4_500_000  # characters of base64, of all images of a response
_TOO_LARGE = (
    "The image is too large for an answer: use a smaller size, or output_format 'webp' with output_compression."
)
_Words = ResponseTextDeltaEvent | ResponseRefusalDeltaEvent
_DELTAS = {  # event -> the field with its part's number, and the part's type
    "response.output_text.delta": ("content_index", "output_text"),
    "response.refusal.delta": ("content_index", "refusal"),
    "response.reasoning_summary_text.delta": ("summary_index", "summary_text"),
}


class ResponseBuilder:
    """Tells the output of one response what the agents do.

    functions: names of the client's functions. reasoning: the client asked for summaries.
    silent: says of an agent that its words wait for its guardrails; then only its last words are shown, when they pass.
    """

    def __init__(
        self,
        output: OutputBuilder,
        *,
        response: str,
        agents: frozenset[str],
        functions: frozenset[str],
        reasoning: bool,
        silent: Callable[[str], bool],
    ) -> None:
        self._output, self._response = output, response
        self._agents, self.functions = agents, functions
        self._reasoning, self._silent = reasoning, silent
        self._held: list[Item] = []
        self.incomplete: Reason | None = None  # why the provider broke off the last words to the user

    @property
    def aloud(self) -> bool:
        """Whether this code runs for the agent that speaks with the user, and not within a tool of it."""
        return _within.get() is None

    @contextmanager
    def model_call(self, agent: str, speaks: bool = True) -> Iterator["ModelCallRecorder"]:
        """Around one call of an agent's model. speaks: outside of tools, its answer is for the user."""
        recorder = ModelCallRecorder(self, agent, aloud=speaks and self.aloud)
        try:
            yield recorder
        finally:
            recorder.end()

    @contextmanager
    def tool_call(self, agent: str, tool: str, arguments: str, call: str) -> Iterator[None]:
        """Around one call of a tool; what happens in there is part of it. call: which one, also after a crash."""
        known = item_id("reasoning", self._response, agent, call)
        opened = self._output.open(self._activity(agent, tool, arguments), known)
        token = _within.set(opened.item["id"])
        try:
            yield
        except BaseException:
            opened.close(status="incomplete")
            raise
        finally:
            _within.reset(token)
        opened.close()

    @property
    def said(self) -> list[Item]:
        """The messages to the user so far."""
        return [item for item in self._output.items if item["type"] == "message" and item["content"]]

    @property
    def spoke(self) -> bool:
        """Whether anything was addressed to the user, or handed to the client."""
        return any(item["type"] in ("message", "function_call") for item in self._output.items)

    def waits(self, agent: str) -> bool:
        """Whether what an agent says to the user is told only in the end."""
        return self._silent(agent)

    def hold(self, items: list[Item]) -> None:
        """What an agent has said that waits: what it had said before does not count any more."""
        self._held = [item for item in items if item["type"] != "message"]

    def release(self) -> None:
        """What waited has passed; its message comes as the last words."""
        for number, item in enumerate(self._held):
            self._output.add(item, item_id(item["type"], self._response, "held", str(number)))

    def say(self, text: str, agent: str) -> None:
        """A message that no model was heard to say: a guardrail's guidance, or words that waited for theirs."""
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        said = {"type": "message", "role": "assistant", "agent": agent, "content": [part]}
        self._output.add(said, item_id("message", self._response, "said"))

    def public(self, item: Any, agent: str) -> Item | None:
        """What may be shown of a model's item to the user; None: nothing."""
        if item.type == "message":
            shown = {
                "type": "message",
                "role": "assistant",
                "agent": agent,
                "content": [_part(part) for part in item.content if _words(part)],
            }
            phase = getattr(item, "phase", None)
            return {**shown, "phase": phase} if phase else shown
        if item.type == "function_call" and item.name in self.functions:
            return {key: getattr(item, key) for key in ("type", "call_id", "name", "arguments")}
        if item.type == "image_generation_call":
            return {"type": item.type, "agent": agent, **self._image(item.result)}
        if item.type == "reasoning" and self._reasoning:
            return {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": part.text} for part in item.summary if part.text],
            }
        return None

    def activity(self, item: Any, agent: str) -> Item | None:
        """What a model's item tells of the provider's own tools, and of handoffs, which no tool call is made for."""
        if item.type == "function_call" and item.name.startswith("transfer_to_") and item.name not in self.functions:
            return self._activity(agent, item.name, item.arguments)
        if item.type.endswith("_call") and item.type != "function_call":
            named = item.type in ("mcp_call", "custom_tool_call")
            return self._activity(agent, item.name if named else item.type.removesuffix("_call"), "")
        return None

    def _image(self, result: str | None) -> Item:
        """An image as base64, as long as the whole answer stays below the 6 MB that Lambda can send."""
        images = [item["result"] or "" for item in self._output.items if item["type"] == "image_generation_call"]
        if result and len(result) + sum(map(len, images)) > _IMAGES:
            return {"result": None, "error": _TOO_LARGE}
        return {"result": result}

    def new_id(self, kind: str) -> str:
        """For an item that is not told of yet."""
        return item_id(kind, self._response)

    def start(self, shown: Item, known: str | None) -> ItemBuilder:
        """An item that grows."""
        return self._output.open(shown if "tool" in shown else without_content(shown), known)

    def _activity(self, agent: str, tool: str, arguments: str) -> Item:
        recipient = _recipient(arguments)
        known = recipient in self._agents
        said = f"{agent} asks {recipient}" if known else f"{agent} uses {tool}"
        return {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": said}],
            "agent": agent,
            "tool": tool,
            **({"recipient": recipient} if known else {}),
            "parent": _within.get(),
        }


class ModelCallRecorder:
    """One model call, while it is told. aloud: the agent speaks with the user, not with a colleague.

    ids: of the items by their number in the answer, as they were or will be told.
    """

    def __init__(self, builder: ResponseBuilder, agent: str, *, aloud: bool) -> None:
        self._builder, self._agent, self.aloud = builder, agent, aloud
        self._open: dict[int, ItemBuilder] = {}
        self._silent: dict[int, Any] = {}  # messages that have no word yet; some servers send one before each call
        self.ids: dict[int, str] = {}

    def event(self, event: ResponseStreamEvent) -> None:
        """One event of the provider's stream. What closes, closes with the answer: then it is certain."""
        if not self.aloud or self._builder.waits(self._agent):
            return
        if event.type == "response.output_item.added":
            if event.output_index in self._open:
                return  # a chat server that refuses says so twice
            if event.item.type == "message":
                self._silent[event.output_index] = event.item
                return
            # Of a handoff it is not known yet to whom.
            if event.item.type != "function_call" or event.item.name in self._builder.functions:
                self._begin(event.output_index, self._shown(event.item))
            return
        number = getattr(event, "output_index", -1)
        if number in self._silent and isinstance(event, _Words) and event.delta:
            self._begin(number, self._shown(self._silent.pop(number)))
        opened = self._open.get(number)
        if opened is None:
            return
        if event.type == "response.function_call_arguments.delta":
            opened.add_arguments(event.delta)
        elif event.type in _DELTAS and event.delta:  # type: ignore[union-attr]
            index, kind = _DELTAS[event.type]
            opened.add_text((kind, getattr(event, index)), event.delta, kind)  # type: ignore[union-attr]

    def plan(self, items: Sequence[Any]) -> None:
        """Settle under which ids the answer will be told, before it is."""
        told = [self._open[number].item for number in sorted(self._open)]
        for number, item in enumerate(items):
            if not _is_empty(item) and (shown := self._shown(item)):
                before = told.pop(0) if told and _alike(told[0], shown) else None
                self.ids[number] = before["id"] if before else self._builder.new_id(shown["type"])

    def answer(self, items: Sequence[Any], incomplete: Reason | None) -> None:
        """The whole answer; under `ids`. incomplete: why it was broken off; then no call in it is to be made."""
        if not self.ids:
            self.plan(items)
        for number, item in enumerate(items):
            if not _is_empty(item) and (shown := self._shown(item)):
                opened = self._builder.start(shown, self.ids.get(number))
                half = incomplete and item.type == "function_call"
                cut = half or getattr(item, "status", None) == "incomplete"
                # Of an activity everything is told when it opens.
                opened.close(None if "tool" in shown else shown, status="incomplete" if cut else "completed")
        if self.aloud:
            self._builder.incomplete = incomplete
            if self._builder.waits(self._agent):
                public = [self._builder.public(item, self._agent) for item in items]
                self._builder.hold([item for item in public if item])

    def end(self) -> None:
        """What was not finished was broken off."""
        for opened in self._open.values():
            opened.close(status="incomplete")

    def _shown(self, item: Any) -> Item | None:
        spoken = self.aloud and not self._builder.waits(self._agent)
        public = self._builder.public(item, self._agent) if spoken else None
        return public or self._builder.activity(item, self._agent)

    def _begin(self, number: int, shown: Item | None) -> None:
        if shown:
            self._open[number] = self._builder.start(shown, None)


def _is_empty(item: Any) -> bool:
    return item.type == "message" and not any(map(_words, item.content))


def _words(part: Any) -> str:
    """Return the words of a part. Chat servers open an empty text before a refusal; nobody is shown an empty part."""
    return getattr(part, "text", "") or getattr(part, "refusal", "")


def _alike(told: Item, shown: Item) -> bool:
    return told["type"] == shown["type"] and told.get("tool") == shown.get("tool")


def _part(part: Any) -> Item:
    told = part.model_dump(mode="json")
    shown = {key: told[key] for key in _PARTS[part.type]}
    return {**shown, "logprobs": []} if part.type == "output_text" else shown


def _recipient(arguments: str) -> str | None:
    try:
        read = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    recipient = read.get("recipient_agent") if isinstance(read, dict) else None
    return recipient if isinstance(recipient, str) else None
