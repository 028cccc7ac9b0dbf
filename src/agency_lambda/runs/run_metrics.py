"""What an attempt used, for the log and the invocation's report."""

from typing import TYPE_CHECKING, Any

from agency_lambda.owner_digest import owner_digest
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.runs.run_index import error_code
from lambda_loop import current_invocation

if TYPE_CHECKING:
    from agency_lambda.runs.attempt import Attempt


def report(attempt: "Attempt", seconds: float) -> dict[str, Any]:
    """Return what this attempt used, for the log, and add it to the invocation's report."""
    execution, lease = attempt.execution, attempt.lease
    known: dict[str, Any] = {"response_id": attempt.response["id"], "run_duration_ms": round(1000 * seconds, 1)}
    known |= _names(attempt)
    known |= execution.meter.paid() if execution else {}
    if lease:
        queue_age_ms = round(1000 * max(attempt.begun_at - lease.queued_at, 0.0), 1)
        known |= {"attempts": lease.attempts, "lease_steals": lease.lost, "queue_age_ms": queue_age_ms}
        known |= {"journal_hits": execution.journal_hits if execution else 0}
        known |= {"handovers": int(attempt.stopped == "handed over")}
    if attempt.response["status"] in FINAL:  # `status` is that of HTTP
        known |= {"run_status": attempt.response["status"], "error_code": error_code(attempt.response)}
    if attempt.asked:
        known["approvals_asked"] = len(attempt.asked)
    if attempt.child_runs and attempt.child_runs.sent:
        known["agent_messages"] = attempt.child_runs.sent
    if invocation := current_invocation.get():
        invocation.report.fields.update(known)
    return known


def _names(attempt: "Attempt") -> dict[str, str]:
    execution, repository = attempt.execution, attempt.repository
    names = {"agency": str(attempt.response["model"]).partition("/")[0]}
    if execution:
        names |= {"agent": execution.agent, "model": ", ".join(sorted(execution.usage_by_model()))}
    if repository:  # that of any other run is in the invocation's report
        names["owner"] = owner_digest(repository.run.owner)
        if sending := repository.run.stored.sending:
            names |= {"agent": sending.message.recipient, "sent_by": sending.run, "root_response_id": sending.shown_in}
    return {name: value for name, value in names.items() if value}
