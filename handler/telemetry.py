"""The ledger of an invocation as one log line, which is its CloudWatch metrics too (embedded metric format)."""

import json
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from handler.event_loop import Ledger

NAMESPACE = "AgencyLambda"
_COUNTS = (
    *("model_calls", "input_tokens", "output_tokens", "tool_calls"),
    *("attempts", "journal_hits", "handovers", "lease_steals"),
)
_TIMES = ("run_duration_ms", "queue_age_ms")


def report(ledger: Ledger) -> None:
    """Print the line. Shape: the ledger's fields, the metrics' values, and `_aws` that names them as metrics."""
    print(json.dumps(line(ledger)), flush=True)


def line(ledger: Ledger) -> dict[str, object]:
    """What `report` prints."""
    metrics = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service="agency")
    for name, value in {
        "NestedEntries": ledger.nested_entries,
        "LoopConflicts": len(ledger.conflicts),
        "Leftovers": len(ledger.leftovers),
        "Zombies": len(ledger.zombies),
        "DeadlinesExceeded": int(ledger.deadline_exceeded),
        "ServerErrors": int(ledger.status >= 500),
    }.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("LongestStall", MetricUnit.Milliseconds, ledger.longest_stall_ms)
    metrics.add_metric("Duration", MetricUnit.Milliseconds, ledger.duration_ms)
    _add_run(metrics, ledger.facts)
    return {**ledger.as_dict(), **metrics.serialize_metric_set()}


def report_run(facts: dict[str, Any]) -> None:
    """Print a run that no request waits for as a line of its own, of the same shape."""
    metrics = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service="agency")
    _add_run(metrics, facts)
    print(json.dumps({**facts, **metrics.serialize_metric_set()}), flush=True)


def _add_run(metrics: AmazonCloudWatchEMFProvider, facts: dict[str, Any]) -> None:
    for name in _COUNTS:
        if name in facts:
            metrics.add_metric(_title(name), MetricUnit.Count, facts[name])
    for name in _TIMES:
        if name in facts:
            metrics.add_metric(_title(name.removesuffix("_ms")), MetricUnit.Milliseconds, facts[name])


def _title(name: str) -> str:
    return name.title().replace("_", "")
