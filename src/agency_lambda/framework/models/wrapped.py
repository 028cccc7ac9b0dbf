"""Models around a model, which the framework takes for the inner one."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from agents import Model, ModelResponse
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai import AsyncOpenAI
from openai.types.responses import ResponseStreamEvent


class WrappedModel(Model):
    """Delegates to an inner model and looks like it; subclasses override what they add to a call."""

    # The framework reads a model's class and private attributes (client, prompt cache, usage name).
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
    """Closes its client after one call, for code with an event loop of its own."""

    # Connections of the shared client belong to another loop: requests on them would be paid again and again.
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
