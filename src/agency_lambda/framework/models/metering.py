"""A model around another one: every call is counted, recorded by the run, and fails with one exception."""

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
    """Counts every call and token, lets the run record every answer, and raises `ModelUnavailable` for any failure.

    An answer without items counts as a failure: the chat model makes one of a web page, or of a stream cut short.

    adapt: changes the agent's settings before the run adds its own. for_user, identity: see `ModelRequest`.
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
        self._provider = Provider(inner)
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
        asked = self._begin(system_instructions, input, model_settings, tools, output_schema)
        meter = self.run.meter
        async with self.run.model_call(self.agent, asked) as call:
            with meter.failures():
                with provider_failures():
                    answer = call.recorded or await self._ask(call, asked, *args, **kwargs)
                (meter.replay if call.recorded else meter.add)(answer.response.usage)
                _check(answer)
            response = self._usable(await call.record_answer(answer)).response
        if unsaved is not None:
            unsaved.note_answer(self.agent, response)
        return response

    def _unsaved(self) -> UnsavedItems | None:
        """Return the record of the framework's run of this agent; None for judges, agents as tools and the like."""
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
        """Count the call, and return the request with the run's changes."""
        settings = self.run.meter.begin_call(self.adapt(settings) if self.adapt else settings)
        asked = ModelRequest(instructions, items, settings, tools, output_schema, self.for_user, self.identity)
        return self.run.adjust(self.agent, asked)

    def _usable(self, answer: ModelAnswer) -> ModelAnswer:
        """Raise for an answer of which nothing can be used. A judge that is cut off does not end the run."""
        if answer.incomplete and not answer.response.output:
            if self.for_user or self.identity == self.agent:
                raise AnswerIncomplete(answer.incomplete)
            raise ModelUnavailable(transient=False)
        return answer

    async def _ask(self, call: ModelCallProtocol, asked: ModelRequest, *args: Any, **kwargs: Any) -> ModelAnswer:
        """Ask the provider. A model of the agency's own reports only in a stream that the client's limit cut it off."""
        ending = Ending()
        current_ending.set(ending)
        if self.run.live or self.run.meter.limits.client_output_tokens is not None:
            response = await self._streamed(call, ending, asked, *args, **kwargs)
        else:
            async with asyncio.timeout(self.run.longest_silence):
                response = await self._provider.get_response(*_positional(asked), *args, **kwargs)
        return checked_answer(response, ending)

    async def _streamed(
        self, call: ModelCallProtocol, ending: Ending, asked: ModelRequest, *args: Any, **kwargs: Any
    ) -> ModelResponse:
        """Return the same answer, recorded event by event. A broken stream is a failure."""
        asked = replace(asked, settings=replace(asked.settings, include_usage=True))
        stream: Any = self._provider.stream_response(*_positional(asked), *args, **kwargs)
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
        """Do the same for code that streams an agent by itself; the run itself calls `get_response`."""
        asked = self._begin(system_instructions, input, model_settings, tools, output_schema)
        async with self.run.model_call(self.agent, asked) as call:
            with self.run.meter.failures():
                if call.recorded is None:
                    events = self._live(call, asked, *args, **kwargs)
                else:
                    self.run.meter.replay(call.recorded.response.usage)
                    events = replayed_events(self._usable(await call.record_answer(call.recorded)))
                async with aclosing(events):
                    async for event in events:
                        yield event

    async def _live(
        self, call: ModelCallProtocol, asked: ModelRequest, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[ResponseStreamEvent]:
        """Yield the provider's events; the last one when the answer is recorded."""
        ending = Ending()
        current_ending.set(ending)
        stream: Any = self._provider.stream_response(*_positional(asked), *args, **kwargs)
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
        """Record the answer of a stream. Returns the items that the agent goes on with."""
        ending.note_response(ended)
        self.run.meter.add(ended.usage)
        answer = checked_answer(model_response(ended), ending)
        _check(answer)
        return self._usable(await call.record_answer(answer)).response.output


def _check(answer: ModelAnswer) -> None:
    if answer.complete and not answer.response.output:
        raise ModelUnavailable


async def _with_timeout(stream: Any, seconds: float) -> AsyncGenerator[Any]:
    """Yield the events of a stream; raises TimeoutError when none comes for so long, whatever keeps the line open."""
    events = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(seconds):
                event = await anext(events)
        except StopAsyncIteration:
            return
        yield event


def _positional(asked: ModelRequest) -> tuple[Any, ...]:
    return asked.instructions, asked.items, asked.settings, asked.tools, asked.output_schema
