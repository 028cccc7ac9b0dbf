"""Around every model call: counted, heard, and failing under one name."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agents import AgentOutputSchemaBase, Model, ModelResponse, ModelSettings, Tool, TResponseInputItem, Usage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseOutputMessage,
    ResponseStreamEvent,
    ResponseUsage,
)

from agency_lambda.framework.models.calls import Adapt, ModelAnswer, ModelCallProtocol, ModelRequest, RunProtocol
from agency_lambda.framework.models.failure_kinds import kind_of_code
from agency_lambda.framework.models.failures import AnswerIncomplete, ModelUnavailable, provider_failures
from agency_lambda.framework.models.provider import Provider
from agency_lambda.framework.models.wrapped import WrappedModel
from agency_lambda.framework.patches import Ending, ending
from agency_lambda.framework.unsaved_items import Unsaved, current
from agency_lambda.offline.events import stream_events

_Terminal = ResponseCompletedEvent | ResponseFailedEvent | ResponseIncompleteEvent


class MeteredModel(WrappedModel):
    """Counts every call and token, lets the run hear every answer, and gives every failure of a provider one name.

    An answer that holds nothing is none: the chat model makes one of a web page, or of a stream cut short.

    adapt: changes the agent's settings before the run adds its own. speaks, identity: see `ModelRequest`.
    """

    def __init__(
        self,
        inner: Model,
        run: RunProtocol,
        agent: str,
        *,
        adapt: Adapt | None = None,
        speaks: bool = False,
        identity: str | None = None,
    ) -> None:
        super().__init__(inner)
        self._provider = Provider(inner)
        self.run, self.agent, self.adapt = run, agent, adapt
        self.speaks, self.identity = speaks, identity or agent

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
            unsaved.note_question(input)
        question = self._question(system_instructions, input, model_settings, tools, output_schema)
        meter = self.run.meter
        async with self.run.model_call(self.agent, question) as heard:
            with meter.failures():
                with provider_failures():
                    answered = heard.known or await self._asked(heard, question, *args, **kwargs)
                (meter.replay if heard.known else meter.add)(answered.response.usage)
                self._check(answered)
            response = self._usable(await heard.answer(answered)).response
        if unsaved is not None:
            unsaved.note_answer(self.agent, response)
        return response

    def _unsaved(self) -> Unsaved | None:
        """Return where the framework's run of this agent is noted; None for judges, agents as tools and the like."""
        unsaved = current.get()
        is_its_own = unsaved is not None and self.identity == self.agent and self.speaks == unsaved.speaks
        return unsaved if is_its_own else None

    def _question(
        self,
        instructions: str | None,
        items: str | list[TResponseInputItem],
        settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
    ) -> ModelRequest:
        """Count the call, and put the question as the run does."""
        settings = self.run.meter.begin_call(self.adapt(settings) if self.adapt else settings)
        question = ModelRequest(instructions, items, settings, tools, output_schema, self.speaks, self.identity)
        return self.run.ask(self.agent, question)

    def _check(self, answered: ModelAnswer) -> None:
        if answered.complete and not answered.response.output:
            raise ModelUnavailable

    def _usable(self, answered: ModelAnswer) -> ModelAnswer:
        """Return an answer that something can be made of. A judge or the like that is cut off does not cut the run."""
        if answered.incomplete and not answered.response.output:
            if self.speaks or self.identity == self.agent:
                raise AnswerIncomplete(answered.incomplete)
            raise ModelUnavailable(transient=False)
        return answered

    async def _asked(self, heard: ModelCallProtocol, question: ModelRequest, *args: Any, **kwargs: Any) -> ModelAnswer:
        noted = Ending()
        ending.set(noted)
        # A model of the agency's own says only in a stream that it was cut off at the client's limit.
        if self.run.live or self.run.meter.cap is not None:
            response = await self._streamed(heard, noted, question, *args, **kwargs)
        else:
            async with asyncio.timeout(self.run.longest_silence):
                response = await self._provider.get_response(*_positional(question), *args, **kwargs)
        return _answered(response, noted)

    async def _streamed(
        self, heard: ModelCallProtocol, noted: Ending, question: ModelRequest, *args: Any, **kwargs: Any
    ) -> ModelResponse:
        """The same answer, heard while it is made. A broken stream is no answer."""
        question = replace(question, settings=replace(question.settings, include_usage=True))
        stream: Any = self._provider.stream_response(*_positional(question), *args, **kwargs)
        ended: Response | None = None
        try:
            async with aclosing(stream):
                async for event in _spoken(stream, self.run.longest_silence):
                    heard.event(event)
                    if isinstance(event, _Terminal):
                        ended = event.response
                        noted.note_response(ended)
                    elif event.type == "error":
                        noted.failed = str(event.code)
        except Exception:
            if ended is None and noted.failed is None:  # the SDK's Responses model makes an error of an ended answer
                raise
        if ended is None:
            raise ModelUnavailable(kind=kind_of_code(noted.failed))
        return _model_response(ended)

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
        """The same for code that streams an agent by itself; the run itself calls `get_response`."""
        question = self._question(system_instructions, input, model_settings, tools, output_schema)
        async with self.run.model_call(self.agent, question) as heard:
            with self.run.meter.failures():
                if heard.known is None:
                    events = self._live(heard, question, *args, **kwargs)
                else:
                    self.run.meter.replay(heard.known.response.usage)
                    events = _replayed(self._usable(await heard.answer(heard.known)))
                async with aclosing(events):
                    async for event in events:
                        yield event

    async def _live(
        self, heard: ModelCallProtocol, question: ModelRequest, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[ResponseStreamEvent]:
        """The provider's events; the last one when its answer is the run's."""
        noted = Ending()
        ending.set(noted)
        stream: Any = self._provider.stream_response(*_positional(question), *args, **kwargs)
        has_ended = False
        with provider_failures():
            async with aclosing(stream):
                async for event in _spoken(stream, self.run.longest_silence):
                    if isinstance(event, _Terminal):
                        event.response.output = await self._ended(heard, noted, event.response)
                        has_ended = True
                    yield event
        if not has_ended:
            raise ModelUnavailable

    async def _ended(self, heard: ModelCallProtocol, noted: Ending, ended: Response) -> list[Any]:
        """Return what an agent that is streamed goes on with."""
        noted.note_response(ended)
        self.run.meter.add(ended.usage)
        answered = _answered(_model_response(ended), noted)
        self._check(answered)
        return self._usable(await heard.answer(answered)).response.output


async def _spoken(stream: Any, seconds: float) -> AsyncGenerator[Any]:
    """Yield the events of a stream; raises TimeoutError when none comes for so long, whatever keeps the line open."""
    events = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(seconds):
                event = await anext(events)
        except StopAsyncIteration:
            return
        yield event


def _answered(response: ModelResponse, noted: Ending) -> ModelAnswer:
    if noted.failed:
        raise ModelUnavailable(kind=kind_of_code(noted.failed))
    if not isinstance(response.output, list) or not all(map(_is_item, response.output)):
        raise ModelUnavailable  # `openai` takes any JSON for an answer
    if any(getattr(item, "status", None) == "incomplete" for item in response.output):
        return ModelAnswer(response, noted.incomplete or "max_output_tokens")
    if noted.finished and not response.output:  # the SDK drops a chat's message without words
        response.output.append(_wordless())
    return ModelAnswer(response, noted.incomplete)


def _is_item(item: Any) -> bool:
    """Return whether an item of an answer has what the SDK reads of its kind without a look."""
    kind = getattr(item, "type", None)
    if kind == "message" or isinstance(item, ResponseOutputMessage):  # which `openai` makes of a type it does not know
        return kind == "message" and isinstance(getattr(item, "content", None), list)
    if kind == "function_call":
        return isinstance(item.arguments, str | None) and isinstance(getattr(item, "name", None), str)
    return isinstance(kind, str)


def _wordless() -> ResponseOutputMessage:
    return ResponseOutputMessage(id="msg_", type="message", role="assistant", status="completed", content=[])


async def _replayed(answered: ModelAnswer) -> AsyncGenerator[ResponseStreamEvent]:
    """An answer that the run has, as the events of a stream."""
    response = answered.response
    usage, status = response.usage, "completed" if answered.complete else "incomplete"
    whole = Response.model_construct(
        id=response.response_id or "",
        object="response",
        created_at=0,
        status=status,
        model="",
        output=response.output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=ResponseUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            input_tokens_details=usage.input_tokens_details,
            output_tokens_details=usage.output_tokens_details,
        ),
    )
    for event in stream_events(whole):
        yield event


def _positional(question: ModelRequest) -> tuple[Any, ...]:
    return question.instructions, question.items, question.settings, question.tools, question.output_schema


def _model_response(ended: Response) -> ModelResponse:
    return ModelResponse(output=ended.output, usage=_usage(ended.usage), response_id=ended.id)


def _usage(usage: ResponseUsage | None) -> Usage:
    if usage is None:
        return Usage(requests=1)
    return Usage(
        requests=1,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_details=usage.input_tokens_details,
        output_tokens_details=usage.output_tokens_details,
    )
