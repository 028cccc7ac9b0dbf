"""The ledger of an invocation as one log line, which is its CloudWatch metrics too (embedded metric format)."""

import json
import logging
import os
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from handler.event_loop import Ledger

NAMESPACE = "AgencyLambda"
_COUNTS = (
    *("model_calls", "model_failures", "input_tokens", "output_tokens", "total_tokens"),
    "tool_calls",
    *("attempts", "journal_hits", "handovers", "lease_steals"),
)
# At INFO, which Lambda's JSON log format asks for, its log repeats what the agents say to each other.
logging.getLogger("agency_swarm").setLevel(logging.WARNING)
_TIMES = ("run_duration_ms", "queue_age_ms")


def report(ledger: Ledger) -> None:
    """Print the line. Shape: the ledger's fields, the metrics' values, and `_aws` that names them as metrics."""
    print(json.dumps(line(ledger)), flush=True)


def line(ledger: Ledger) -> dict[str, object]:
    """What `report` prints."""
    metrics = _metrics()
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
    metrics = _metrics()
    _add_run(metrics, facts)
    print(json.dumps({**facts, **metrics.serialize_metric_set()}), flush=True)


def report_sweep(expired: int) -> None:
    """Print how many attempts a sweep has found that died without a word."""
    metrics = _metrics()
    metrics.add_metric("ExpiredLeases", MetricUnit.Count, expired)
    print(json.dumps(metrics.serialize_metric_set()), flush=True)


def _metrics() -> AmazonCloudWatchEMFProvider:
    """Their dimension `service` keeps two deployments in one account apart; the variable is Powertools' own."""
    service = os.environ.get("POWERTOOLS_SERVICE_NAME") or "agency"
    return AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=service)


def _add_run(metrics: AmazonCloudWatchEMFProvider, facts: dict[str, Any]) -> None:
    for name in _COUNTS:
        if name in facts:
            metrics.add_metric(_title(name), MetricUnit.Count, facts[name])
    for name in _TIMES:
        if name in facts:
            metrics.add_metric(_title(name.removesuffix("_ms")), MetricUnit.Milliseconds, facts[name])


def _title(name: str) -> str:
    return name.title().replace("_", "")
