"""The ledger of an invocation as one log line, which is its CloudWatch metrics too (embedded metric format)."""

import json

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from handler.event_loop import Ledger

NAMESPACE = "AgencyLambda"
_COUNTS = ("model_calls", "input_tokens", "output_tokens")


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
        **{_title(name): ledger.facts[name] for name in _COUNTS if name in ledger.facts},
    }.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("LongestStall", MetricUnit.Milliseconds, ledger.longest_stall_ms)
    metrics.add_metric("Duration", MetricUnit.Milliseconds, ledger.duration_ms)
    if "run_duration_ms" in ledger.facts:
        metrics.add_metric("RunDuration", MetricUnit.Milliseconds, ledger.facts["run_duration_ms"])
    return {**ledger.as_dict(), **metrics.serialize_metric_set()}


def _title(name: str) -> str:
    return name.title().replace("_", "")
