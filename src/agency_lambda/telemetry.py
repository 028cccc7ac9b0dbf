"""Log lines in the embedded metric format, which are CloudWatch metrics too."""

import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from agency_lambda.settings import get_settings
from lambda_loop import InvocationReport

NAMESPACE = "AgencyLambda"
#: A log field of a run -> its metric.
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
    "approvals_asked": "ApprovalsAsked",
    "agent_messages": "AgentMessages",
}
#: metrics of each agency too, as each costs: CloudWatch asks for a metric by its dimensions
_BY_AGENCY = ("ModelCalls", "ModelFailures", "TotalTokens", "RunDuration", "QueueAge")
_TIMES = {"run_duration_ms": "RunDuration", "queue_age_ms": "QueueAge"}
# At INFO, which Lambda's JSON log format sets, agency_swarm logs the messages between agents.
logging.getLogger("agency_swarm").setLevel(logging.WARNING)


def log_report(report: InvocationReport) -> None:
    """Print an invocation's fields, its metrics' values, and `_aws`, which declares them as metrics."""
    print(json.dumps(log_line(report)), flush=True)


def log_line(report: InvocationReport) -> dict[str, object]:
    counts, milliseconds = _run_metrics(report.fields)
    happened = {
        "NestedEntries": report.nested_entries,
        "LoopConflicts": len(report.conflicts),
        "Leftovers": len(report.leftovers),
        "Zombies": len(report.zombies),
        "DeadlinesExceeded": int(report.deadline_exceeded),
        "ServerErrors": int(report.status >= 500),
    }
    counts |= {name: count for name, count in happened.items() if count}  # a metric costs in every hour that has one
    milliseconds |= {"LongestStall": report.longest_stall_ms} if report.longest_stall_ms else {}
    milliseconds["Duration"] = report.duration_ms
    return _with_metrics(report.as_dict(), counts, milliseconds)


def log_run(fields: dict[str, Any]) -> None:
    """Print the line of a background run."""
    print(json.dumps(_with_metrics(fields, *_run_metrics(fields))), flush=True)


def log_operator(operator: str, action: str, owner: str | None, response_id: str | None) -> None:
    """Print who does what in the role of an operator. owner: whose data; None for all owners'."""
    fields = {"operator": operator, "action": action, "owner": owner, "response_id": response_id}
    print(json.dumps(fields), flush=True)


def log_limits(operator: str, owner: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Print the limits that an operator has changed."""
    fields = {"operator": operator, "action": "limits_changed", "owner": owner, "before": before, "after": after}
    print(json.dumps(fields), flush=True)


def log_expired(expired: int) -> None:
    """Print the number of leases that had expired."""
    print(json.dumps(_metrics({"ExpiredLeases": expired})), flush=True)


def log_decided(fields: Mapping[str, Any], seconds: float) -> None:
    """Print a decision. seconds: that the run has waited for it."""
    metrics = _metrics({"ApprovalsDecided": 1}, {"ApprovalWait": seconds * 1000})
    print(json.dumps({**_without_nulls(fields), **metrics}), flush=True)


def log_budget(metric: Literal["BudgetAlarms", "BudgetOverruns"], **fields: Any) -> None:
    """Print that a budget needs a look."""
    print(json.dumps({**fields, **_metrics({metric: 1})}), flush=True)


def log_export_failure(run_id: str, failures: int, error: Exception) -> None:
    """Print that the record of a run was not sent to the collector."""
    fields = {"response_id": run_id, "failures": failures, "export_failed": f"{type(error).__name__}: {error}"[:500]}
    print(json.dumps({**fields, **_metrics({"ExportFailures": 1})}), flush=True)


def log_webhook_failure(**fields: Any) -> None:
    """Print that an event does not reach its owner's webhook, and is not sent any more."""
    print(json.dumps({**fields, **_metrics({"WebhookFailures": 1})}), flush=True)


def log_not_configured(lacking: Mapping[str, list[str]]) -> None:
    """Print the environment variables that each agency lacks, if any."""
    if lacking:
        print(json.dumps({"not_configured": lacking, **_metrics({"AgenciesNotConfigured": len(lacking)})}), flush=True)


def _with_metrics(
    fields: Mapping[str, Any], counts: Mapping[str, float], milliseconds: Mapping[str, float]
) -> dict[str, object]:
    metrics = _metrics(counts, milliseconds)
    if fields.get("agency") and get_settings().metrics_by_agency == "1":
        (block,) = metrics["_aws"]["CloudWatchMetrics"]
        named = [metric for metric in block["Metrics"] if metric["Name"] in _BY_AGENCY]
        by_agency = {**block, "Dimensions": [["service", "agency"]], "Metrics": named}
        metrics["_aws"]["CloudWatchMetrics"] = [block, by_agency]
    return {**_without_nulls(fields), **metrics}


def _without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _run_metrics(fields: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Return a run's counts and milliseconds, by metric."""
    known = _without_nulls(fields)
    return (
        {metric: known[name] for name, metric in _COUNTS.items() if name in known},
        {metric: known[name] for name, metric in _TIMES.items() if name in known},
    )


def _metrics(counts: Mapping[str, float], milliseconds: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return the values of metrics, and `_aws`."""
    # Not with add_metric, which takes more time than the rest of the line.
    units = ((MetricUnit.Count, counts), (MetricUnit.Milliseconds, milliseconds or {}))
    metrics = {name: {"Unit": unit.value, "Value": [value]} for unit, values in units for name, value in values.items()}
    # The dimension `service` separates deployments in one account; the variable is Powertools' own.
    service = os.environ.get("POWERTOOLS_SERVICE_NAME") or "agency"
    return dict(_provider(service).serialize_metric_set(metrics=metrics))


@cache
def _provider(service: str) -> AmazonCloudWatchEMFProvider:
    return AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=service)
