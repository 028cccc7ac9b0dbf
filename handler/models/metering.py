"""Around every model call: counted, heard, and failing under one name."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agents import AgentOutputSchemaBase, Model, ModelResponse, ModelSettings, Tool, TResponseInputItem, Usage
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseStreamEvent,
    ResponseUsage,
)

from handler.models.failures import ModelUnavailable, provider_failures
from handler.models.meter import Meter, OutputTokenLimit

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


@dataclass(frozen=True)
class Answered:
    """What a model has answered; complete: it was not cut off at a limit of tokens."""

    response: ModelResponse
    complete: bool


class Heard(Protocol):
    """One model call, as the run hears it. known: the run has this answer already, and need not ask for it."""

    known: Answered | None

    def event(self, event: ResponseStreamEvent) -> None:
        """One event of the provider's stream."""
        ...

    async def answer(self, answered: Answered) -> Answered:
        """The whole answer. It is the run's when this returns, whatever happens then; returns the one that counts."""
        ...


@dataclass(frozen=True)
class Question:
    """What a model is asked, in the SDK's terms."""

    instructions: str | None
    items: str | list[TResponseInputItem]
    settings: ModelSettings
    tools: list[Tool]
    output_schema: AgentOutputSchemaBase | None


class Running(Protocol):
    """The run that models are asked for."""

    meter: Meter
    live: bool
    """It wants every event as it comes, not only the whole answer."""

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

    run: for code that calls the agent from a thread of its own, where `running` is not known.
    declared: what the agent itself names (a name, a Model or None), for an agency that reuses its agents.
    """

    def __init__(self, inner: Model, run: Running, agent: str, declared: str | Model | None) -> None:
        super().__init__(inner)
        self.run, self.agent, self.declared = run, agent, declared

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
        run = running.get(self.run)
        settings = run.meter.begin_call(model_settings)
        question = run.ask(self.agent, Question(system_instructions, input, settings, tools, output_schema))
        async with run.model_call(self.agent, question) as heard:
            with run.meter.failures():
                with provider_failures():
                    answered = heard.known or await self._asked(run, heard, question, *args, **kwargs)
                run.meter.add(answered.response.usage)
                if not answered.response.output:
                    raise ModelUnavailable if answered.complete else OutputTokenLimit("cut off before it said anything")
            return (await heard.answer(answered)).response

    async def _asked(self, run: Running, heard: Heard, question: Question, *args: Any, **kwargs: Any) -> Answered:
        # Only a stream says that it was cut off at the client's limit.
        if run.live or run.meter.cap is not None:
            return await self._streamed(heard, question, *args, **kwargs)
        response = await super().get_response(*_positional(question), *args, **kwargs)
        whole = all(getattr(item, "status", None) != "incomplete" for item in response.output)
        return Answered(response, whole and not _at_limit(response.usage, question))

    async def _streamed(self, heard: Heard, question: Question, *args: Any, **kwargs: Any) -> Answered:
        """The same answer, heard while it is made. A broken stream is no answer."""
        question = replace(question, settings=replace(question.settings, include_usage=True))
        stream: Any = super().stream_response(*_positional(question), *args, **kwargs)
        ended: Response | None = None
        try:
            async with aclosing(stream):
                async for event in stream:
                    heard.event(event)
                    if isinstance(event, _Terminal):
                        ended = event.response
        except Exception:
            if ended is None or ended.status != "incomplete":  # the SDK's Responses model makes an error of those
                raise
        if ended is None or ended.status == "failed":
            raise ModelUnavailable
        response = ModelResponse(output=ended.output, usage=_usage(ended.usage), response_id=ended.id)
        return Answered(response, ended.status != "incomplete" and not _at_limit(response.usage, question))

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[ResponseStreamEvent]:
        """For a tool that streams an agent by itself; the run itself calls `get_response`."""
        meter = running.get(self.run).meter
        settings = meter.begin_call(model_settings)
        answered = False
        stream: Any = super().stream_response(system_instructions, input, settings, *args, **kwargs)
        with meter.failures():
            with provider_failures():
                async with aclosing(stream):
                    async for event in stream:
                        if isinstance(event, _Terminal):
                            answered = bool(event.response.output)
                            meter.add(event.response.usage)
                        yield event
            if not answered:
                raise ModelUnavailable


def _positional(question: Question) -> tuple[Any, ...]:
    return question.instructions, question.items, question.settings, question.tools, question.output_schema


def _at_limit(usage: Usage, question: Question) -> bool:
    """Of a chat's answer the SDK does not say that it was cut off."""
    return question.settings.max_tokens is not None and usage.output_tokens >= question.settings.max_tokens


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
