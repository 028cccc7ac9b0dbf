"""The report of an invocation as one log line, which is its CloudWatch metrics too (embedded metric format)."""

import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from lambda_loop import InvocationReport

NAMESPACE = "AgencyLambda"
#: what is known of a run -> the metric
_COUNTS = {
    "model_calls": "ModelCalls",
    "model_failures": "ModelFailures",
    "input_tokens": "InputTokens",
    "output_tokens": "OutputTokens",
    "total_tokens": "TotalTokens",
    "tool_calls": "ToolCalls",
    "attempts": "Attempts",
    "journal_hits": "JournalHits",
    "handovers": "Handovers",
    "lease_steals": "LeaseSteals",
    "not_configured": "AgenciesNotConfigured",
}
_TIMES = {"run_duration_ms": "RunDuration", "queue_age_ms": "QueueAge"}
# At INFO, which Lambda's JSON log format asks for, its log repeats what the agents say to each other.
logging.getLogger("agency_swarm").setLevel(logging.WARNING)


def log_report(report: InvocationReport) -> None:
    """Print the line. Shape: the report's fields, the metrics' values, and `_aws` that names them as metrics."""
    print(json.dumps(log_line(report)), flush=True)


def log_line(report: InvocationReport) -> dict[str, object]:
    """Return what `log_report` prints."""
    counts, milliseconds = _of_run(report.fields)
    counts |= {
        "NestedEntries": report.nested_entries,
        "LoopConflicts": len(report.conflicts),
        "Leftovers": len(report.leftovers),
        "Zombies": len(report.zombies),
        "DeadlinesExceeded": int(report.deadline_exceeded),
        "ServerErrors": int(report.status >= 500),
    }
    milliseconds |= {"LongestStall": report.longest_stall_ms, "Duration": report.duration_ms}
    return {**_known(report.as_dict()), **_metrics(counts, milliseconds)}


def log_run(fields: dict[str, Any]) -> None:
    """Print a run that no request waits for as a line of its own, of the same shape."""
    print(json.dumps({**_known(fields), **_metrics(*_of_run(fields))}), flush=True)


def log_expired(expired: int) -> None:
    """Print how many attempts were found whose lease had expired."""
    print(json.dumps(_metrics({"ExpiredLeases": expired})), flush=True)


def log_not_configured(lacking: Mapping[str, list[str]]) -> None:
    """Print which agencies lack which environment variables, if any does, when an environment starts."""
    if lacking:
        print(json.dumps({"not_configured": lacking, **_metrics({"AgenciesNotConfigured": len(lacking)})}), flush=True)


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something: a null is nothing that a log can be searched for."""
    return {name: value for name, value in fields.items() if value is not None}


def _of_run(fields: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Counts and milliseconds."""
    known = _known(fields)
    return (
        {metric: known[name] for name, metric in _COUNTS.items() if name in known},
        {metric: known[name] for name, metric in _TIMES.items() if name in known},
    )


def _metrics(counts: Mapping[str, float], milliseconds: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Their values, and `_aws`. Without `add_metric`, which takes more time than all the rest of the line."""
    units = ((MetricUnit.Count, counts), (MetricUnit.Milliseconds, milliseconds or {}))
    given = {name: {"Unit": unit.value, "Value": [value]} for unit, values in units for name, value in values.items()}
    # Their dimension `service` keeps two deployments in one account apart; the variable is Powertools' own.
    service = os.environ.get("POWERTOOLS_SERVICE_NAME") or "agency"
    return dict(_provider(service).serialize_metric_set(metrics=given))


@cache
def _provider(service: str) -> AmazonCloudWatchEMFProvider:
    return AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=service)
