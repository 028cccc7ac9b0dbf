"""Traces of the Agents SDK, for the agency's own processors only.

The SDK posts every trace, prompts included, to OpenAI from a thread of its own, which an execution environment freezes.
Here a trace goes to those who asked for it with `add_trace_processor` or `set_trace_processors`: at a module's top for
all runs of the environment, in `create_agency` for the run that the agency was built for. Where nobody asked, none is
made. Whoever wants the export to OpenAI adds the SDK's `default_processor()`.

Written for openai-agents 0.18.1.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from agents import set_trace_provider
from agents.tracing import TracingProcessor, setup
from agents.tracing.processors import default_processor
from agents.tracing.provider import DefaultTraceProvider, SynchronousMultiTracingProcessor
from agents.tracing.spans import NoOpSpan
from agents.tracing.traces import NoOpTrace

logger = logging.getLogger(__name__)

type Processors = Sequence[TracingProcessor]

#: of the agency that is being built here
_added: ContextVar[list[TracingProcessor] | None] = ContextVar("added_processors", default=None)
#: of the run that goes on here
of_run: ContextVar[Processors] = ContextVar("processors_of_run", default=())

_FLUSH = 2.0  # seconds that a run waits for its processors at its end


class _Processors(SynchronousMultiTracingProcessor):
    """Those of all runs, and those of the run that goes on here."""

    _everybodys: tuple[TracingProcessor, ...] = ()

    @property
    def _processors(self) -> tuple[TracingProcessor, ...]:
        return (*self._everybodys, *of_run.get())

    @_processors.setter
    def _processors(self, processors: Processors) -> None:
        self._everybodys = tuple(processors)

    def add_tracing_processor(self, tracing_processor: TracingProcessor) -> None:
        added = _added_while_built()
        if added is None:
            self._everybodys = (*self._everybodys, tracing_processor)
        else:
            added.append(tracing_processor)

    def set_processors(self, processors: list[TracingProcessor]) -> None:
        added = _added_while_built()
        if added is None:
            self._everybodys = tuple(processors)
        else:
            added[:] = processors


class _Provider(DefaultTraceProvider):
    """Makes traces and spans only while somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self._multi_processor = _Processors()  # type: ignore[no-untyped-call]

    def create_trace(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_trace(*args, **kwargs) if self.is_heard else NoOpTrace()  # type: ignore[no-untyped-call]

    def create_span(self, span_data: Any, *args: Any, **kwargs: Any) -> Any:
        return super().create_span(span_data, *args, **kwargs) if self.is_heard else NoOpSpan(span_data)

    @property
    def is_heard(self) -> bool:
        """Return whether a processor is registered, for all runs or for the current one."""
        return bool(self._multi_processor._processors)


def install() -> None:
    """Be the SDK's provider of traces. What modules have added before stays; a provider of the agency's own too."""
    before = setup.GLOBAL_TRACE_PROVIDER
    if before is not None and type(before) is not DefaultTraceProvider:
        return
    provider = _Provider()
    if before is not None:
        provider._manual_disabled = before._manual_disabled
        export = default_processor()
        for each in before._multi_processor._processors:
            if each is not export:
                provider.register_processor(each)
    set_trace_provider(provider)


def collected[T](create: Callable[[], T]) -> tuple[T, Processors]:
    """Build an agency; return it, and the processors that it added, which are for its run alone."""
    added: list[TracingProcessor] = []
    token = _added.set(added)
    try:
        return create(), added
    finally:
        _added.reset(token)


async def flush() -> None:
    """Have the processors send what they hold: after the answer an environment may be frozen. Waits 2 seconds."""
    provider = setup.GLOBAL_TRACE_PROVIDER
    if not isinstance(provider, _Provider) or not provider.is_heard:
        return
    try:
        await asyncio.wait_for(asyncio.to_thread(provider.force_flush), _FLUSH)
    except TimeoutError:
        logger.warning("the trace processors did not flush within %s seconds", _FLUSH)


def _added_while_built() -> list[TracingProcessor] | None:
    """Return the list of the agency that is being built; None outside, and in a module that is imported meanwhile."""
    added, frame = _added.get(), sys._getframe(2)
    if added is None:
        return None
    while frame.f_code is not collected.__code__ and frame.f_back:
        if frame.f_code.co_name == "<module>":
            return None
        frame = frame.f_back
    return added
