"""Around every model call: counted, and failing under one name."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from agents import Model, ModelResponse, Usage
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseStreamEvent,
    ResponseUsage,
)

from handler.models.failures import ModelUnavailable, provider_failures

_Terminal = ResponseCompletedEvent | ResponseFailedEvent | ResponseIncompleteEvent


class ModelCallLimit(RuntimeError):
    """The run asked a model more often than a run may."""


@dataclass
class Meter:
    """What one run used, over all its agents. A call that failed counts as a call."""

    # Model calls of one run: what calls a tool for ever is not paid for ever. No field: it is not used up, it is there.
    limit = 50.0

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0

    def begin_call(self) -> None:
        """Count a call before it is made.

        Raises:
            ModelCallLimit: that would be one too many.
        """
        if self.model_calls >= self.limit:
            raise ModelCallLimit(f"the run was stopped after {self.limit:.0f} model calls")
        self.model_calls += 1

    def add(self, usage: Usage | ResponseUsage | None) -> None:
        """None: the server does not say."""
        if usage is not None:
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
            self.total_tokens += usage.total_tokens


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


class MeteredModel(WrappedModel):
    """Counts every call and token, streamed or not, and gives every failure of a provider one name.

    An answer that holds nothing is none: the chat model makes one of a web page, or of a stream cut short.

    declared: what the agent itself names (a name, a Model or None), for an agency that reuses its agents.
    """

    def __init__(self, inner: Model, meter: Meter, declared: str | Model | None) -> None:
        super().__init__(inner)
        self.meter = meter
        self.declared = declared

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        self.meter.begin_call()
        with provider_failures():
            response = await super().get_response(*args, **kwargs)
        self.meter.add(response.usage)
        if not response.output:
            raise ModelUnavailable
        return response

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[ResponseStreamEvent]:
        self.meter.begin_call()
        answered = False
        stream: Any = super().stream_response(*args, **kwargs)
        with provider_failures():
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, _Terminal):
                        answered = bool(event.response.output)
                        self.meter.add(event.response.usage)
                    yield event
        if not answered:
            raise ModelUnavailable
