"""Builds the items of a response that a client sees, from an allowlist.

Of the addressed agent: messages, client calls, images and requested reasoning summaries. Tools, colleagues and handoffs
are activities without contents: `reasoning` items, as clients would run a `function_call`.
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
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.types import Item, Status

_activity_id: ContextVar[str | None] = ContextVar("activity_id", default=None)  # of the tool call that runs here
_IMAGES = 4_500_000  # characters of base64, of all images: Lambda can send an answer of 6 MB
_IMAGE_TOO_LARGE = (
    "The image is too large for an answer: use a smaller size, or output_format 'webp' with output_compression."
)


class ResponseBuilder:
    """Adds items to one response.

    reasoning: include reasoning summaries. encrypt: returns what a client can send back of an agent's reasoning.
    withholds: returns whether an agent's messages wait for its guardrails.
    """

    def __init__(
        self,
        output: OutputBuilder,
        *,
        response_id: str,
        agents: frozenset[str],
        client_functions: frozenset[str],
        reasoning: bool,
        encrypt: Callable[[Any, str], str | None] | None = None,
        withholds: Callable[[str], bool],
    ) -> None:
        self._output, self._response_id = output, response_id
        self._agents, self.client_functions = agents, client_functions
        self._reasoning, self._encrypt, self.withholds = reasoning, encrypt, withholds
        self._withheld: list[Item] = []
        self._files: list[Item] = []  # annotations of what tools have saved, which no message has yet
        self.run_waits: Callable[[], bool] = lambda: False  # for persons or agents; activities go on in another attempt
        self.incomplete: Reason | None = None  # why the provider broke off the last words to the user

    @property
    def is_outside_tools(self) -> bool:
        return _activity_id.get() is None

    @contextmanager
    def model_call(self, agent: str, for_user: bool = True) -> Iterator[ModelCallRecorder]:
        """Record one model call. for_user: outside of tools, its answer is for the user."""
        recorder = ModelCallRecorder(self, agent, for_user=for_user and self.is_outside_tools)
        try:
            yield recorder
        finally:
            recorder.end()

    @contextmanager
    def tool_call(self, agent: str, tool: str, arguments: str, key: str) -> Iterator[None]:
        """Record one tool call and nest activities in it. key: the same in every attempt."""
        opened = self.open(self._activity(agent, tool, arguments), item_id("reasoning", self._response_id, agent, key))
        token = _activity_id.set(opened.item["id"])
        try:
            yield
        except BaseException:
            if not self.run_waits():
                opened.close(status="incomplete")
            raise
        finally:
            _activity_id.reset(token)
        opened.close()

    def add_file(self, file_id: str, name: str, container: str) -> None:
        """Show a file in the next message to the user."""
        place = {"start_index": 0, "end_index": 0}
        citation = {"type": "container_file_citation", "container_id": container, "file_id": file_id, "filename": name}
        self._files.append(citation | place)

    def files_to_show(self) -> list[Item]:
        return [*self._files]

    def note_shown(self, files: Sequence[Item]) -> None:
        self._files = [each for each in self._files if each not in files]

    @property
    def current_activity(self) -> str | None:
        """Return the id of the activity that this code runs in."""
        return _activity_id.get() or None

    def add_items(self, items: Sequence[Item]) -> None:
        """Add items that the run of a message has shown."""
        for item in items:
            new = {name: value for name, value in item.items() if name not in ("id", "status")}
            self._output.add(new, item["id"], item["status"])

    @contextmanager
    def within(self, activity: str | None) -> Iterator[None]:
        """Nest activities in one of another run. activity: its id."""
        token = _activity_id.set(activity or "")
        try:
            yield
        finally:
            _activity_id.reset(token)

    @property
    def messages(self) -> list[Item]:
        return [item for item in self._output.items if item["type"] == "message" and item["content"]]

    @property
    def has_spoken(self) -> bool:
        return any(item["type"] in ("message", "function_call") for item in self._output.items)

    def withhold(self, items: Sequence[Any], agent: str) -> None:
        """Buffer the items of an agent whose output guardrails have not run yet."""
        public = [self.public(item, agent) for item in items]
        self._withheld = [item for item in public if item and item["type"] != "message"]

    def release(self) -> None:
        """Add the buffered items except their message."""
        for number, item in enumerate(self._withheld):
            self._output.add(item, item_id(item["type"], self._response_id, "held", str(number)))

    def add_message(self, text: str, agent: str) -> None:
        """Add a guardrail's guidance or a withheld message."""
        message = public_items.with_files(public_items.text_message(text, agent), self._files)
        self._output.add(message, item_id("message", self._response_id, "said"))

    def public(self, item: Any, agent: str) -> Item | None:
        """Return the public form of an addressed agent's item, or None."""
        if item.type == "message":
            return public_items.message(item, agent)
        if item.type == "function_call" and item.name in self.client_functions:
            return public_items.client_call(item)
        if item.type == "image_generation_call":
            return {"type": item.type, "agent": agent, **self._image(item.result)}
        if item.type == "reasoning":
            return self._thought(item, agent)
        return None

    def _thought(self, item: Any, agent: str) -> Item | None:
        encrypted = self._encrypt(item, agent) if self._encrypt else None
        if not self._reasoning and not encrypted:
            return None
        return public_items.reasoning(item, with_summary=self._reasoning, encrypted=encrypted)

    def activity(self, item: Any, agent: str) -> Item | None:
        if item.type == "function_call":
            is_handoff = item.name.startswith("transfer_to_") and item.name not in self.client_functions
            return self._activity(agent, item.name, item.arguments) if is_handoff else None
        if item.type.endswith("_call"):
            has_name = item.type in ("mcp_call", "custom_tool_call")
            return self._activity(agent, item.name if has_name else item.type.removesuffix("_call"), "")
        return None

    def new_id(self, kind: str) -> str:
        return item_id(kind, self._response_id)

    def add(self, item: Item, given_id: str | None, status: Status) -> None:
        self._output.add(item, given_id, status)

    def open(self, item: Item, given_id: str | None) -> ItemBuilder:
        return self._output.open(item, given_id)

    def _image(self, result: str | None) -> Item:
        images = [item["result"] or "" for item in self._output.items if item["type"] == "image_generation_call"]
        if result and len(result) + sum(map(len, images)) > _IMAGES:
            return {
                "result": None,
                "error": {"type": "server_error", "code": "image_too_large", "message": _IMAGE_TOO_LARGE},
            }
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
            "parent": self.current_activity,
        }
