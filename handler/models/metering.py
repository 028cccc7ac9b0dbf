"""Around every model call: counted, heard, and failing under one name."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agents import (
    AgentOutputSchemaBase,
    Model,
    ModelResponse,
    ModelSettings,
    RunConfig,
    Tool,
    TResponseInputItem,
    Usage,
)
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai import AsyncOpenAI
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseStreamEvent,
    ResponseUsage,
)

from handler.models.failures import AnswerIncomplete, ModelUnavailable, is_final_code, provider_failures
from handler.models.meter import Meter
from handler.models.provider import Provider
from handler.models.sdk_patches import Ending, Reason, ending
from handler.offline.events import stream_events

Adapt = Callable[[ModelSettings], ModelSettings]
_Terminal = ResponseCompletedEvent | ResponseFailedEvent | ResponseIncompleteEvent


class WrappedModel(Model):
    """Looks in every way like the model inside it; a subclass overrides what it adds to a call.

    The framework asks a model for its class and for private attributes (client, prompt cache, usage name).
    """

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # what isinstance() reads beside type()
        return type(self.inner)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # only while it is being copied; it would look for itself for ever
            raise AttributeError(name)
        return getattr(self.inner, name)

    async def close(self) -> None:
        await self.inner.close()

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        return self.inner.get_retry_advice(request)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return await self.inner.get_response(*args, **kwargs)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[ResponseStreamEvent]:
        stream: Any = self.inner.stream_response(*args, **kwargs)
        async with aclosing(stream):  # at once when the run is cancelled, not when the garbage is collected
            async for event in stream:
                yield event


class OneCallModel(WrappedModel):
    """Closes its client after a call. For code that runs an event loop of its own, on a thread: connections of the
    shared client belong to another loop, and each request on them would be paid again and again.
    """

    def __init__(self, inner: Model, client: AsyncOpenAI) -> None:
        super().__init__(inner)
        self.client = client

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        async with self.client:
            return await super().get_response(*args, **kwargs)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[ResponseStreamEvent]:
        stream: Any = super().stream_response(*args, **kwargs)
        async with self.client, aclosing(stream):
            async for event in stream:
                yield event


@dataclass(frozen=True)
class Answered:
    """What a model has answered. incomplete: why the provider broke it off."""

    response: ModelResponse
    incomplete: Reason | None = None

    @property
    def complete(self) -> bool:
        """Whether the provider did not break it off."""
        return self.incomplete is None


class Heard(Protocol):
    """One model call, as the run hears it. known: the run has this answer already, and need not ask for it."""

    known: Answered | None

    def event(self, event: ResponseStreamEvent) -> None:
        """One event of the provider's stream."""
        ...

    async def answer(self, answered: Answered) -> Answered:
        """The whole answer. It is the run's when this returns, whatever happens then.

        Returns the one that counts; of one that was broken off, only what can be used.
        """
        ...


@dataclass(frozen=True)
class Question:
    """What a model is asked, in the SDK's terms.

    speaks: the answer is for the user, and not for a tool, a guardrail, a hook or another agent.
    identity: who asks, the same in every attempt at the run; an agent's name alone may be that of several.
    """

    instructions: str | None
    items: str | list[TResponseInputItem]
    settings: ModelSettings
    tools: list[Tool]
    output_schema: AgentOutputSchemaBase | None
    speaks: bool = False
    identity: str = ""


class Running(Protocol):
    """The run that models are asked for."""

    meter: Meter
    live: bool
    """It wants every event as it comes, not only the whole answer."""
    resolve: Callable[[Any, RunConfig], tuple[Model, "Adapt | None"]]
    """Finds the model of an agent, and what has to be done to the settings that the agent has."""

    def ask(self, agent: str, question: Question) -> Question:
        """The question as this run puts it."""
        ...

    def model_call(self, agent: str, question: Question) -> AbstractAsyncContextManager[Heard]:
        """Around one call: when it ends with an exception, its answer was broken off."""
        ...


# Not kept with the agents: an agency may build itself from agents that it shares between runs.
running: ContextVar[Running] = ContextVar("running")


class MeteredModel(WrappedModel):
    """Counts every call and token, lets the run hear every answer, and gives every failure of a provider one name.

    An answer that holds nothing is none: the chat model makes one of a web page, or of a stream cut short.

    adapt: changes the agent's settings before the run adds its own. speaks, identity: see `Question`.
    """

    def __init__(
        self,
        inner: Model,
        run: Running,
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
        question = self._question(system_instructions, input, model_settings, tools, output_schema)
        meter = self.run.meter
        async with self.run.model_call(self.agent, question) as heard:
            with meter.failures():
                with provider_failures():
                    answered = heard.known or await self._asked(heard, question, *args, **kwargs)
                meter.add(answered.response.usage)
                self._check(answered)
            return self._usable(await heard.answer(answered)).response

    def _question(
        self,
        instructions: str | None,
        items: str | list[TResponseInputItem],
        settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
    ) -> Question:
        """Count the call, and put the question as the run does."""
        settings = self.run.meter.begin_call(self.adapt(settings) if self.adapt else settings)
        question = Question(instructions, items, settings, tools, output_schema, self.speaks, self.identity)
        return self.run.ask(self.agent, question)

    def _check(self, answered: Answered) -> None:
        if answered.complete and not answered.response.output:
            raise ModelUnavailable

    def _usable(self, answered: Answered) -> Answered:
        """Return an answer that something can be made of. A judge or the like that is cut off does not cut the run."""
        if answered.incomplete and not answered.response.output:
            if self.speaks or self.identity == self.agent:
                raise AnswerIncomplete(answered.incomplete)
            raise ModelUnavailable(passing=False)
        return answered

    async def _asked(self, heard: Heard, question: Question, *args: Any, **kwargs: Any) -> Answered:
        noted = Ending()
        ending.set(noted)
        # A model of the agency's own says only in a stream that it was cut off at the client's limit.
        if self.run.live or self.run.meter.cap is not None:
            response = await self._streamed(heard, noted, question, *args, **kwargs)
        else:
            response = await self._provider.get_response(*_positional(question), *args, **kwargs)
        return _answered(response, noted)

    async def _streamed(
        self, heard: Heard, noted: Ending, question: Question, *args: Any, **kwargs: Any
    ) -> ModelResponse:
        """The same answer, heard while it is made. A broken stream is no answer."""
        question = replace(question, settings=replace(question.settings, include_usage=True))
        stream: Any = self._provider.stream_response(*_positional(question), *args, **kwargs)
        ended: Response | None = None
        try:
            async with aclosing(stream):
                async for event in stream:
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
            raise ModelUnavailable(passing=not is_final_code(noted.failed))
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
                    self.run.meter.add(heard.known.response.usage)
                    events = _replayed(self._usable(await heard.answer(heard.known)))
                async with aclosing(events):
                    async for event in events:
                        yield event

    async def _live(
        self, heard: Heard, question: Question, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[ResponseStreamEvent]:
        """The provider's events; the last one when its answer is the run's."""
        noted = Ending()
        ending.set(noted)
        stream: Any = self._provider.stream_response(*_positional(question), *args, **kwargs)
        has_ended = False
        with provider_failures():
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, _Terminal):
                        event.response.output = await self._ended(heard, noted, event.response)
                        has_ended = True
                    yield event
        if not has_ended:
            raise ModelUnavailable

    async def _ended(self, heard: Heard, noted: Ending, ended: Response) -> list[Any]:
        """Return what an agent that is streamed goes on with."""
        noted.note_response(ended)
        self.run.meter.add(ended.usage)
        answered = _answered(_model_response(ended), noted)
        self._check(answered)
        return self._usable(await heard.answer(answered)).response.output


def _answered(response: ModelResponse, noted: Ending) -> Answered:
    if noted.failed:
        raise ModelUnavailable(passing=not is_final_code(noted.failed))
    if any(getattr(item, "status", None) == "incomplete" for item in response.output):
        return Answered(response, noted.incomplete or "max_output_tokens")
    return Answered(response, noted.incomplete)


async def _replayed(answered: Answered) -> AsyncGenerator[ResponseStreamEvent]:
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


def _positional(question: Question) -> tuple[Any, ...]:
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
