"""Send a provider a history that it accepts, and request encrypted reasoning where the model reasons."""

import logging
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

from agents import Model, ModelResponse, ModelSettings, TResponseInputItem
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import OpenAIResponsesModel
from httpx import HTTPError
from openai import APIError, APIStatusError
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseIncompleteEvent,
    ResponseOutputItemDoneEvent,
    ResponseStreamEvent,
)
from pydantic import BaseModel

from agency_lambda.framework.item_copies import UnsharedItems
from agency_lambda.framework.models.calls import name_of
from agency_lambda.framework.models.encryption import (
    asks,
    including,
    is_about_reasoning,
    may_be_about_include,
    names_include,
    reasons,
)
from agency_lambda.framework.models.ending_listener import listen
from agency_lambda.framework.models.request_body import is_json
from agency_lambda.history import is_call, sendable
from agency_lambda.protocol import bounds

logger = logging.getLogger(__name__)

# OpenAI forgets its item ids, and with `store: false` knows none: reasoning returns encrypted or not at all.
_LONGEST_CALL_ID = ((OpenAIResponsesModel, 64), (OpenAIChatCompletionsModel, 40))  # characters that OpenAI takes
_MOST_UNREADABLE = 10_000

# A colleague that is sent a blank, or a filter that leaves nothing: providers refuse an empty list.
_NO_INPUT = {"type": "message", "role": "user", "content": "(no input)"}

# What this process has learned. Both are hints: without them a provider is asked once more.
_encrypts: dict[str, bool] = {}  # origin -> False: it refuses the question for encrypted reasoning
_unreadable: set[str] = set()  # encrypted contents that a provider has refused


@dataclass(frozen=True)
class _Form:
    """One way to ask. reasoning: some is sent. links: those that are sent. without: what is left out, see `_form`.

    unreadable, include: what is left out since a refusal: encrypted contents, or the request for encrypted reasoning.
    If this form succeeds, they are remembered as its cause.
    """

    input: str | list[TResponseInputItem]
    settings: ModelSettings
    reasoning: bool
    unreadable: frozenset[str] = frozenset()
    include: bool = False
    links: frozenset[str] = frozenset()
    without: "set[str] | None" = None


class Provider:
    """Calls a model, and again in another form after a refusal.

    Marks items of an answer that only this model can read with its origin.
    """

    def __init__(
        self, model: Model, linked_content: Literal["0", "1"] | None = None, new_links: Collection[str] = ()
    ) -> None:
        """linked_content, new_links: see `RunProtocol`."""
        listen(type(model))
        self._linked_content, self._new_links = linked_content, new_links
        self._model, self._origin = model, origin_of(model)
        self.name = name_of(model)
        self._responses = isinstance(model, OpenAIResponsesModel)
        self._longest = next((most for kind, most in _LONGEST_CALL_ID if isinstance(model, kind)), None)

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        form = self._first_form(input, model_settings)
        while True:
            arguments = (system_instructions, form.input, form.settings)
            try:
                response = await self._model.get_response(*arguments, *args, **kwargs)
            except APIStatusError as error:
                form = self._next_form(form, input, error)
                continue
            self._accept(form, response.output)
            return response

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[ResponseStreamEvent]:
        form, begun = self._first_form(input, model_settings), False
        while True:
            arguments = (system_instructions, form.input, form.settings)
            stream: Any = self._model.stream_response(*arguments, *args, **kwargs)
            try:
                async with aclosing(stream):
                    async for event in stream:
                        begun = True
                        if isinstance(event, ResponseOutputItemDoneEvent):
                            self._mark(event.item)
                        elif isinstance(event, ResponseCompletedEvent | ResponseIncompleteEvent):
                            if not self._responses:
                                event.response.output = _without_blanks(event.response.output)
                            self._accept(form, event.response.output)
                        yield event
                return
            except APIStatusError as error:
                if begun:
                    raise
                form = self._next_form(form, input, error)

    async def fetch_file(self, container: str, file_id: str) -> bytes | None:
        """Return the bytes of a file that a code interpreter has written; None if they cannot be had, or are many."""
        client = getattr(self._model, "_client", None) if self._responses else None
        if client is None:
            return None
        content, files = bytearray(), client.containers.files.content.with_streaming_response
        try:
            async with files.retrieve(file_id, container_id=container) as response:
                async for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > bounds.FILE:
                        return None
        except (APIError, HTTPError) as error:
            logger.warning("a file of a container could not be fetched: %s", type(error).__name__)
            return None
        return bytes(content)

    def _first_form(self, input: str | list[TResponseInputItem], settings: ModelSettings) -> _Form:
        include = self._responses and (asks(settings) or reasons(self._model, settings))
        encrypts = _encrypts.get(self._origin, True)
        return self._form(input, including(settings, include and encrypts), _unreadable if encrypts else None)

    def _form(
        self, input: str | list[TResponseInputItem], settings: ModelSettings, unreadable: set[str] | None
    ) -> _Form:
        if isinstance(input, str):
            return _Form(input, settings, False)
        dialect: dict[str, Any] = {"chat": not self._responses, "longest_id": self._longest}
        history, links = self._with_links(input)
        items: Any = sendable(history, self._origin, unreadable=unreadable, **dialect) or [_NO_INPUT]
        has_reasoning = any(item["type"] == "reasoning" for item in items)
        sent = UnsharedItems(items) if self._responses and is_json(items) else items
        return _Form(sent, settings, has_reasoning, links=links, without=unreadable)

    def _with_links(self, items: Any) -> tuple[Any, frozenset[str]]:
        """Return items without links that this model cannot have, and the links that it is sent."""
        if not any(item.get("linked") for item in items):
            return items, frozenset()
        from agency_lambda.framework.models import links  # few clients send one

        return links.readable(items, links.taken(self._model, self._linked_content), self._new_links)

    def _next_form(self, form: _Form, input: str | list[TResponseInputItem], error: APIStatusError) -> _Form:
        # Raises the refusal where no form is left. `_accept` remembers what was left out: a refusal that stays
        # was about something else.
        if old := self._old_links(form, error):
            from agency_lambda.framework.models import links

            links.remember(old)
            again = self._form(input, form.settings, form.without)
            return replace(again, unreadable=form.unreadable, include=form.include)
        if form.reasoning and is_about_reasoning(error):
            return replace(self._form(input, form.settings, None), unreadable=_encrypted(form.input))
        if not asks(form.settings) or not may_be_about_include(error):
            raise error
        without = self._form(input, including(form.settings, False), None)
        if form.reasoning and not names_include(error):  # it may have been either; the next call tells
            return replace(without, unreadable=_encrypted(form.input))
        return replace(without, include=True)

    def _old_links(self, form: _Form, error: APIStatusError) -> frozenset[str]:
        """Return links of earlier turns that the provider cannot read. Without one of them it may answer."""
        if not form.links:
            return frozenset()
        from agency_lambda.framework.models import links

        return links.unreadable(error, form.links).difference(self._new_links)

    def _accept(self, form: _Form, output: Iterable[Any] | None) -> None:
        if form.include:
            _encrypts[self._origin] = False
        if form.unreadable:
            _remember_unreadable(form.unreadable)
        for item in output or ():
            self._mark(item)

    def _mark(self, item: Any) -> None:
        bound = (getattr(item, name, None) for name in ("encrypted_content", "provider_data", "phase"))
        if isinstance(item, BaseModel) and (item.type == "mcp_approval_request" or any(bound)):  # type: ignore[attr-defined]
            item.origin = self._origin  # type: ignore[attr-defined]


def _without_blanks(output: list[Any]) -> list[Any]:
    # In streams the SDK makes a message of an empty text before the calls of a chat,
    # which would part reasoning from the call that it led to.
    nonblank = [item for item in output if item.type != "message" or any(_words(part) for part in item.content)]
    return nonblank if any(is_call(item.type) for item in nonblank) else output


def _words(part: Any) -> str | None:
    return getattr(part, "text", None) or getattr(part, "refusal", None)


def origin_of(model: Model) -> str:
    """Return a digest of a model's base URL and name."""
    url = getattr(getattr(model, "_client", None), "base_url", None) or getattr(model, "base_url", None)
    return sha256(f"{url}|{name_of(model)}".encode()).hexdigest()[:12]


def _encrypted(items: Any) -> frozenset[str]:
    return frozenset(item["encrypted_content"] for item in items if item.get("encrypted_content"))


def _remember_unreadable(contents: frozenset[str]) -> None:
    if len(_unreadable) > _MOST_UNREADABLE:
        _unreadable.clear()
    _unreadable.update(contents)
