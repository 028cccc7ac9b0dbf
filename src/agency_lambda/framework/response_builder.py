"""Builds what a client sees of a run: the items of its response, from an allowlist.

The agent that speaks with the user is shown as it speaks: its messages, its calls of the client's functions, images
that the provider makes, and summaries of its reasoning if the client asked for them. Everything else that agents do
(tools, colleagues, handoffs) is an activity: who, which tool, whether it is done; never arguments, outputs,
instructions or others' words.

An activity is an item of type `reasoning`, which every client knows and none acts on: it would run a `function_call`.
Beside its `summary` it has `agent`, `tool`, for a colleague `recipient`, and `parent`, the id of the activity within
which it happens.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from agency_lambda.framework import public_items
from agency_lambda.framework.model_call_recorder import ModelCallRecorder
from agency_lambda.framework.models import Reason
from agency_lambda.protocol.ids import item_id
from agency_lambda.protocol.item_builder import ItemBuilder
from agency_lambda.protocol.output import OutputBuilder, without_content
from agency_lambda.protocol.types import Item

_activity_id: ContextVar[str | None] = ContextVar("activity_id", default=None)  # of the tool call that runs here
_IMAGES = 4_500_000  # characters of base64, of all images: Lambda can send an answer of 6 MB
_IMAGE_TOO_LARGE = (
    "The image is too large for an answer: use a smaller size, or output_format 'webp' with output_compression."
)


class ResponseBuilder:
    """Adds what agents do to the output of one response.

    client_functions: names of the functions that the client runs. reasoning: the client asked for summaries.
    withholds: returns whether an agent's words wait for its guardrails; then only its last words are shown.
    """

    def __init__(
        self,
        output: OutputBuilder,
        *,
        response_id: str,
        agents: frozenset[str],
        client_functions: frozenset[str],
        reasoning: bool,
        withholds: Callable[[str], bool],
    ) -> None:
        self._output, self._response_id = output, response_id
        self._agents, self.client_functions = agents, client_functions
        self._reasoning, self.withholds = reasoning, withholds
        self._withheld: list[Item] = []
        self.incomplete: Reason | None = None  # why the provider broke off the last words to the user

    @property
    def is_outside_tools(self) -> bool:
        """Return whether this code runs for the agent that speaks with the user, and not within a tool."""
        return _activity_id.get() is None

    @contextmanager
    def model_call(self, agent: str, for_user: bool = True) -> Iterator[ModelCallRecorder]:
        """Record one call of an agent's model. for_user: outside of tools, its answer is for the user."""
        recorder = ModelCallRecorder(self, agent, for_user=for_user and self.is_outside_tools)
        try:
            yield recorder
        finally:
            recorder.end()

    @contextmanager
    def tool_call(self, agent: str, tool: str, arguments: str, key: str) -> Iterator[None]:
        """Record one call of a tool, with what happens in it as its parts. key: the call's, in every attempt."""
        opened = self.open(self._activity(agent, tool, arguments), item_id("reasoning", self._response_id, agent, key))
        token = _activity_id.set(opened.item["id"])
        try:
            yield
        except BaseException:
            opened.close(status="incomplete")
            raise
        finally:
            _activity_id.reset(token)
        opened.close()

    @property
    def messages(self) -> list[Item]:
        """Return the messages to the user so far."""
        return [item for item in self._output.items if item["type"] == "message" and item["content"]]

    @property
    def has_spoken(self) -> bool:
        """Return whether the response has a message, or a call for the client."""
        return any(item["type"] in ("message", "function_call") for item in self._output.items)

    def withhold(self, items: Sequence[Any], agent: str) -> None:
        """Replace the withheld items: those of an agent whose output guardrails have not run yet."""
        public = [self.public(item, agent) for item in items]
        self._withheld = [item for item in public if item and item["type"] != "message"]

    def release(self) -> None:
        """Add the withheld items, which have passed. The message of them is added by `add_message`."""
        for number, item in enumerate(self._withheld):
            self._output.add(item, item_id(item["type"], self._response_id, "held", str(number)))

    def add_message(self, text: str, agent: str) -> None:
        """Add a message that no model's answer has added: a guardrail's guidance, or withheld words."""
        self._output.add(public_items.text_message(text, agent), item_id("message", self._response_id, "said"))

    def public(self, item: Any, agent: str) -> Item | None:
        """Return what may be shown of an item of the agent that speaks with the user, or None."""
        if item.type == "message":
            return public_items.message(item, agent)
        if item.type == "function_call" and item.name in self.client_functions:
            return public_items.client_call(item)
        if item.type == "image_generation_call":
            return {"type": item.type, "agent": agent, **self._image(item.result)}
        if item.type == "reasoning" and self._reasoning:
            return public_items.reasoning(item)
        return None

    def activity(self, item: Any, agent: str) -> Item | None:
        """Return the activity of an item for which the run calls no tool: a handoff, or a tool of the provider's."""
        if item.type == "function_call":
            is_handoff = item.name.startswith("transfer_to_") and item.name not in self.client_functions
            return self._activity(agent, item.name, item.arguments) if is_handoff else None
        if item.type.endswith("_call"):
            has_name = item.type in ("mcp_call", "custom_tool_call")
            return self._activity(agent, item.name if has_name else item.type.removesuffix("_call"), "")
        return None

    def new_id(self, kind: str) -> str:
        """Return an id for an item that is not in the response yet."""
        return item_id(kind, self._response_id)

    def open(self, item: Item, given_id: str | None) -> ItemBuilder:
        """Add an item that may grow until it is closed."""
        return self._output.open(item if "tool" in item else without_content(item), given_id)

    def _image(self, result: str | None) -> Item:
        images = [item["result"] or "" for item in self._output.items if item["type"] == "image_generation_call"]
        if result and len(result) + sum(map(len, images)) > _IMAGES:
            return {"result": None, "error": _IMAGE_TOO_LARGE}
        return {"result": result}

    def _activity(self, agent: str, tool: str, arguments: str) -> Item:
        recipient = public_items.recipient(arguments)
        is_known = recipient in self._agents
        summary = f"{agent} asks {recipient}" if is_known else f"{agent} uses {tool}"
        return {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": summary}],
            "agent": agent,
            "tool": tool,
            **({"recipient": recipient} if is_known else {}),
            "parent": _activity_id.get(),
        }
