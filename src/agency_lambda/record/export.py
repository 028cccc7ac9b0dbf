"""Send the spans of ended runs to a collector, by OpenTelemetry's protocol over HTTP."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import batched
from typing import TYPE_CHECKING

from agency_lambda.errors import NotFound
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.queue.messages import Export
from agency_lambda.record.spans import Span, build_spans, trace_id
from agency_lambda.record.trace import load_trace, trace_options
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.settings import Settings, get_settings
from agency_lambda.store import Store

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from agency_lambda.refreshing_cache import RefreshingCache

_TIMEOUT = 5.0  # seconds that a collector may take
_MOST_SPANS = 2000  # that are sent together
Headers = Mapping[str, str]


class NotExported(Exception):
    """The collector did not take the spans, or the run has not ended yet."""


async def export_run(store: Store, message: Export) -> None:
    """Send the record of an ended run. A deleted run, or one without a collector, is left out.

    Raises:
        NotExported: it is to be tried again.
    """
    settings = get_settings()
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        return
    try:
        spans = await _spans(store, message, settings)
    except NotFound:
        return
    headers = await _headers(settings)
    await asyncio.to_thread(_send, f"{endpoint}/v1/traces", headers, trace_id(message.run), spans)


async def _spans(store: Store, message: Export, settings: Settings) -> list[Span]:
    response = (await Responses(store, message.owner).get(message.run)).response
    if response["status"] not in FINAL:
        raise NotExported(f"The run is {response['status']}.")
    captures = settings.otel_instrumentation_genai_capture_message_content and settings.trace_content == "1"
    options = trace_options(settings, with_contents=captures)
    return build_spans(await load_trace(store, message.owner, message.run, options), response, message.owner)


async def _headers(settings: Settings) -> Headers | None:
    if settings.otel_exporter_otlp_headers:
        return _parse_headers(settings.otel_exporter_otlp_headers.get_secret_value())
    name = settings.otel_exporter_otlp_headers_secret
    return await _secret(name).get() if name else None


@cache
def _secret(name: str) -> "RefreshingCache[Headers | None]":
    from agency_lambda.secrets import secret  # imports boto3

    return secret(name, _parse_headers)


def _parse_headers(text: str) -> Headers:
    from opentelemetry.util.re import parse_env_headers

    return parse_env_headers(text, liberal=True)


def _send(url: str, headers: Headers | None, trace: int, spans: Sequence[Span]) -> None:
    # Imported by the first export: only workers need the SDK.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    exporter = OTLPSpanExporter(endpoint=url, headers=dict(headers or {}) or None, timeout=_TIMEOUT)
    try:
        for some in batched(_readable(trace, spans), _MOST_SPANS, strict=False):
            if exporter.export(some) is not SpanExportResult.SUCCESS:
                raise NotExported("The collector did not take the spans; the log says why.")
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]


def _readable(trace: int, spans: Sequence[Span]) -> list["ReadableSpan"]:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id: int) -> SpanContext:
        return SpanContext(trace, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    service = os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("POWERTOOLS_SERVICE_NAME") or "agency"
    resource, scope = Resource.create({SERVICE_NAME: service}), InstrumentationScope("agency_lambda")
    return [
        ReadableSpan(
            span.name,
            context=context(span.span_id),
            parent=None if span.parent_id is None else context(span.parent_id),
            resource=resource,
            attributes=dict(span.attributes) | ({"error.type": span.error} if span.error else {}),
            kind=SpanKind.CLIENT if span.is_client else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=round(span.started_at * 10**9),
            end_time=round(span.ended_at * 10**9),
            instrumentation_scope=scope,
        )
        for span in spans
    ]
