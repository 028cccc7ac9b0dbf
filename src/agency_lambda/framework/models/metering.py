"""Meter, record and normalise the failures of every model call."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agents import AgentOutputSchemaBase, Model, ModelResponse, ModelSettings, Tool, TResponseInputItem
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseStreamEvent,
)

from agency_lambda.framework.models.answers import checked_answer, model_response, replayed_events
from agency_lambda.framework.models.calls import (
    AdaptSettings,
    ModelAnswer,
    ModelCallProtocol,
    ModelRequest,
    RunProtocol,
)
from agency_lambda.framework.models.endings import Ending, current_ending
from agency_lambda.framework.models.failure_kinds import kind_of_code
from agency_lambda.framework.models.failures import AnswerIncomplete, ModelUnavailable, provider_failures
from agency_lambda.framework.models.provider import Provider
from agency_lambda.framework.models.wrapped import WrappedModel
from agency_lambda.framework.unsaved_items import UnsavedItems, current_unsaved

_Terminal = ResponseCompletedEvent | ResponseFailedEvent | ResponseIncompleteEvent


class MeteredModel(WrappedModel):
    """Counts calls and tokens, lets the run record answers, and raises `ModelUnavailable` for any failure.

    adapt: changes the agent's settings before the run does. for_user, identity: see `ModelRequest`.
    """

    def __init__(
        self,
        inner: Model,
        run: RunProtocol,
        agent: str,
        *,
        adapt: AdaptSettings | None = None,
        for_user: bool = False,
        identity: str | None = None,
    ) -> None:
        super().__init__(inner)
        self._provider = Provider(inner, run.linked_content, run.new_links)
        self.run, self.agent, self.adapt = run, agent, adapt
        self.for_user, self.identity = for_user, identity or agent

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        unsaved = self._unsaved()
        if unsaved is not None:  # also where the call is refused: at a limit
            unsaved.note_input(input)
        request = self._begin(system_instructions, input, model_settings, tools, output_schema)
        meter = self.run.meter
        async with self.run.model_call(self.agent, request) as call:
            call.fetch = self._provider.fetch_file
            with meter.failures():
                with provider_failures():
                    answer = call.recorded or await self._ask(call, request, *args, **kwargs)
                (meter.replay if call.recorded else meter.add)(answer.response.usage, answer.model)
                _check(answer)
            response = self._usable(await call.record_answer(answer)).response
        if unsaved is not None:
            unsaved.note_answer(self.agent, response)
        return response

    def _unsaved(self) -> UnsavedItems | None:
        # None for judges, agents as tools and the like.
        unsaved = current_unsaved.get()
        is_its_own = unsaved is not None and self.identity == self.agent and self.for_user == unsaved.for_user
        return unsaved if is_its_own else None

    def _begin(
        self,
        instructions: str | None,
        items: str | list[TResponseInputItem],
        settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
    ) -> ModelRequest:
        # Counts the call, and adds the run's changes to its request.
        settings = self.run.meter.begin_call(self.adapt(settings) if self.adapt else settings)
        who = (self.for_user, self.identity, self._provider.name)
        return self.run.adjust(self.agent, ModelRequest(instructions, items, settings, tools, output_schema, *who))

    def _usable(self, answer: ModelAnswer) -> ModelAnswer:
        # A judge that is cut off does not end the run.
        if answer.incomplete and not answer.response.output:
            if self.for_user or self.identity == self.agent:
                raise AnswerIncomplete(answer.incomplete)
            raise ModelUnavailable(transient=False)
        return answer

    async def _ask(self, call: ModelCallProtocol, request: ModelRequest, *args: Any, **kwargs: Any) -> ModelAnswer:
        request = await self._reserved(call, request, *args, **kwargs)
        # In a stream even a model of the agency's own reports that the client's limit cut it off.
        ending = Ending()
        current_ending.set(ending)
        if self.run.live or self.run.meter.limits.client_output_tokens is not None:
            response = await self._streamed(call, ending, request, *args, **kwargs)
        else:
            async with asyncio.timeout(self.run.longest_silence):
                response = await self._provider.get_response(*_positional(request), *args, **kwargs)
        return replace(checked_answer(response, ending), model=request.model)

    async def _reserved(
        self, call: ModelCallProtocol, request: ModelRequest, *args: Any, **kwargs: Any
    ) -> ModelRequest:
        """Return the request that may be sent."""
        request = await call.reserve(self.inner, request, *args, **kwargs)
        return await self.run.with_files(request) if request.names_files else request

    async def _streamed(
        self, call: ModelCallProtocol, ending: Ending, request: ModelRequest, *args: Any, **kwargs: Any
    ) -> ModelResponse:
        request = replace(request, settings=replace(request.settings, include_usage=True))
        stream: Any = self._provider.stream_response(*_positional(request), *args, **kwargs)
        ended: Response | None = None
        try:
            async with aclosing(stream):
                async for event in _with_timeout(stream, self.run.longest_silence):
                    call.record_event(event)
                    if isinstance(event, _Terminal):
                        ended = event.response
                        ending.note_response(ended)
                    elif event.type == "error":
                        ending.failed = str(event.code)
        except Exception:
            if ended is None and ending.failed is None:  # the SDK's Responses model raises for an ended answer too
                raise
        if ended is None:
            raise ModelUnavailable(kind=kind_of_code(ending.failed))
        return model_response(ended)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[ResponseStreamEvent]:
        """Stream for code that streams an agent by itself; the run calls `get_response`."""
        request = self._begin(system_instructions, input, model_settings, tools, output_schema)
        async with self.run.model_call(self.agent, request) as call:
            call.fetch = self._provider.fetch_file
            with self.run.meter.failures():
                if call.recorded is None:
                    events = self._live(call, request, *args, **kwargs)
                else:
                    self.run.meter.replay(call.recorded.response.usage, call.recorded.model)
                    events = replayed_events(self._usable(await call.record_answer(call.recorded)))
                async with aclosing(events):
                    async for event in events:
                        yield event

    async def _live(
        self, call: ModelCallProtocol, request: ModelRequest, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[ResponseStreamEvent]:
        """Yield the provider's events, the last one after the answer is recorded."""
        request = await self._reserved(call, request, *args, **kwargs)
        ending = Ending()
        current_ending.set(ending)
        stream: Any = self._provider.stream_response(*_positional(request), *args, **kwargs)
        has_ended = False
        with provider_failures():
            async with aclosing(stream):
                async for event in _with_timeout(stream, self.run.longest_silence):
                    if isinstance(event, _Terminal):
                        event.response.output = await self._record(call, ending, event.response)
                        has_ended = True
                    yield event
        if not has_ended:
            raise ModelUnavailable

    async def _record(self, call: ModelCallProtocol, ending: Ending, ended: Response) -> list[Any]:
        """Record a stream's answer. Returns the items that the agent continues with."""
        ending.note_response(ended)
        self.run.meter.add(ended.usage, self._provider.name)
        answer = replace(checked_answer(model_response(ended), ending), model=self._provider.name)
        _check(answer)
        return self._usable(await call.record_answer(answer)).response.output


def _check(answer: ModelAnswer) -> None:
    if answer.complete and not answer.response.output:
        raise ModelUnavailable


async def _with_timeout(stream: Any, seconds: float) -> AsyncGenerator[Any]:
    # Whatever keeps the connection open, TimeoutError ends a silence of so many seconds.
    events = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(seconds):
                event = await anext(events)
        except StopAsyncIteration:
            return
        yield event


def _positional(request: ModelRequest) -> tuple[Any, ...]:
    return request.instructions, request.items, request.settings, request.tools, request.output_schema
