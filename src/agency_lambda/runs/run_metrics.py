"""What a run has cost, for its client and for the log."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agency_lambda.framework.models import Meter
    from agency_lambda.runs.attempt import Attempt


def usage(meter: "Meter") -> dict[str, Any]:
    """Of every model call of every agent in every attempt, each counted once."""
    return {
        "model_calls": meter.model_calls,
        "input_tokens": meter.input_tokens,
        "input_tokens_details": {"cached_tokens": meter.cached_tokens},
        "output_tokens": meter.output_tokens,
        "output_tokens_details": {"reasoning_tokens": meter.reasoning_tokens},
        "total_tokens": meter.total_tokens,
    }


def log_fields(run: "Attempt", took: float) -> dict[str, Any]:
    """For the log line and the metrics: what this attempt paid for, so that those of all attempts add up.

    took: seconds.
    """
    told: dict[str, Any] = {"response_id": run.response["id"], "run_duration_ms": round(1000 * took, 1)}
    told |= run.meter.paid()
    if run.keeping:
        lease = run.keeping.lease
        told |= {"attempts": lease.attempts, "lease_steals": lease.lost, "queue_age_ms": run.waited}
        told |= {"journal_hits": run.execution.journal_hits if run.execution else 0}
        told |= {"handovers": int(run.stopped == "handed over")}
    return told
