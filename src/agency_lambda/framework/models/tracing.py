"""Send the SDK's traces to the agency's own processors only.

The SDK would post traces, prompts included, to OpenAI from a thread that Lambda freezes.
Processors that a module adds serve all runs; those of `create_agency`, that agency's run.
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
    _of_all_runs: tuple[TracingProcessor, ...] = ()

    @property
    def _processors(self) -> tuple[TracingProcessor, ...]:
        return (*self._of_all_runs, *of_run.get())

    @_processors.setter
    def _processors(self, processors: Processors) -> None:
        self._of_all_runs = tuple(processors)

    def add_tracing_processor(self, tracing_processor: TracingProcessor) -> None:
        added = _added_while_built()
        if added is None:
            self._of_all_runs = (*self._of_all_runs, tracing_processor)
        else:
            added.append(tracing_processor)

    def set_processors(self, processors: list[TracingProcessor]) -> None:
        added = _added_while_built()
        if added is None:
            self._of_all_runs = tuple(processors)
        else:
            added[:] = processors


class _Provider(DefaultTraceProvider):
    # Makes traces and spans only while a processor is registered.
    def __init__(self) -> None:
        super().__init__()
        self._multi_processor = _Processors()  # type: ignore[no-untyped-call]

    def create_trace(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_trace(*args, **kwargs) if self.has_listeners else NoOpTrace()  # type: ignore[no-untyped-call]

    def create_span(self, span_data: Any, *args: Any, **kwargs: Any) -> Any:
        return super().create_span(span_data, *args, **kwargs) if self.has_listeners else NoOpSpan(span_data)

    @property
    def has_listeners(self) -> bool:
        return bool(self._multi_processor._processors)


def install() -> None:
    """Become the SDK's trace provider. Keeps earlier processors, and a provider of the agency's own."""
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
    """Build an agency. Returns it and the processors that it added."""
    added: list[TracingProcessor] = []
    token = _added.set(added)
    try:
        return create(), added
    finally:
        _added.reset(token)


async def flush() -> None:
    """Have the processors send what they hold, within 2 seconds."""
    provider = setup.GLOBAL_TRACE_PROVIDER
    if not isinstance(provider, _Provider) or not provider.has_listeners:
        return
    try:
        await asyncio.wait_for(asyncio.to_thread(provider.force_flush), _FLUSH)
    except TimeoutError:
        logger.warning("the trace processors did not flush within %s seconds", _FLUSH)


def _added_while_built() -> list[TracingProcessor] | None:
    # None outside of `collected`, and in a module that is imported meanwhile.
    added, frame = _added.get(), sys._getframe(2)
    if added is None:
        return None
    while frame.f_code is not collected.__code__ and frame.f_back:
        if frame.f_code.co_name == "<module>":
            return None
        frame = frame.f_back
    return added
