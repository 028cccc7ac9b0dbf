"""How an attempt can end."""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agency_lambda.errors import AnswerTooLarge, OutOfTime, ServiceError, UpstreamFailed, detail_code
from agency_lambda.protocol import bounds, response_object
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.protocol.types import Item
from agency_lambda.runs.usage import usage_of_meter
from lambda_loop import EventLoopConflict, current_invocation

if TYPE_CHECKING:
    from agency_lambda.framework.execution import AgencyExecution, AgencyResult

MOST_ATTEMPTS = 5
LONGEST_WAIT = 300.0  # seconds that a provider may ask to wait
BACKOFF = 2.0  # seconds before the second attempt after a failure of the model; then twice as long each time


class HandedOver(Exception):
    """Another attempt goes on in `after` seconds."""

    def __init__(self, response: ResponseObject, after: float = 0.0) -> None:
        self.response, self.after = response, after


def final_response(
    response: ResponseObject,
    status: str,
    output: OutputBuilder,
    execution: "AgencyExecution | None",
    result: "AgencyResult | None" = None,
    error: ServiceError | None = None,
) -> ResponseObject:
    """Return the response as its run ends. Raises AnswerTooLarge if the output of a result has no room."""
    fitting = _fitting_items(response, output, is_whole=result is not None)
    if execution:
        execution.count_unused_answers()
    return response | {
        "status": status,
        "output": fitting,
        "usage": usage_of_meter(execution.meter if execution else None),
        "completed_at": int(time.time()) if status == "completed" else None,
        "error": error_field(error) if error else None,
        "incomplete_details": _incomplete_details(result) if result and result.incomplete else None,
    }


def waiting_response(
    response: ResponseObject, output: OutputBuilder, execution: "AgencyExecution | None"
) -> ResponseObject:
    """Return the response of a run that waits and will go on. Raises AnswerTooLarge."""
    items = _fitting_items(response, output, is_whole=True)
    return response | {"output": items, "usage": usage_of_meter(execution.meter if execution else None)}


def partial_response(response: ResponseObject, output: OutputBuilder) -> ResponseObject:
    """Return the response of a run that goes on in another attempt, with the output that has room."""
    return response | {"output": _fitting_items(response, output, is_whole=False)}


def _fitting_items(response: ResponseObject, output: OutputBuilder, *, is_whole: bool) -> list[Item]:
    """Return the items that an answer has room for. is_whole: raise AnswerTooLarge if that is not all of them."""
    items = replace_surrogates(output.items)
    fitting = response_object.fit_output(response, items)
    if is_whole and len(fitting) < len(items):
        raise AnswerTooLarge(f"The output of this run has more than {bounds.RESOURCE:,} bytes.")
    return fitting


def _incomplete_details(result: "AgencyResult") -> dict[str, Any]:
    # The reason is one that clients know; our own word is beside it.
    return {"reason": result.incomplete} | ({"detail": result.detail} if result.detail else {})


def seconds_to_retry(response: ResponseObject, attempts: int, error: ServiceError) -> float | None:
    """Return the seconds until the next attempt, after a failure of the model; None if no attempt follows."""
    if not (isinstance(error, UpstreamFailed) and error.transient and response["background"]):
        return None
    if not 0 < attempts < MOST_ATTEMPTS:
        return None
    backoff: float = BACKOFF * 2 ** (attempts - 1)
    return max(backoff, min(error.retry_after, LONGEST_WAIT))


def hidden_conflict(response: ResponseObject, attempts: int) -> EventLoopConflict | None:
    """Return a conflict that its caller did not catch, with which strict mode fails a foreground run."""
    invocation = current_invocation.get()
    if invocation is None or response["background"] or attempts > 1:
        return None
    return invocation.report.hidden_conflict()


def raise_failed(response: ResponseObject) -> ResponseObject:
    """Return a response, or raise the ServiceError with which its run failed."""
    if error := response["error"]:
        raise error_from_field(error)
    return response


def error_field(error: ServiceError) -> dict[str, str]:
    return {"code": error.openai_code, "message": str(error), "detail_code": error.kind}


def error_from_field(field: Mapping[str, str]) -> ServiceError:
    kinds = {error.kind: error for error in _with_subclasses(ServiceError)}
    error = kinds.get(detail_code(field), ServiceError)(field["message"])
    error.safe_to_retry = False  # its run had begun
    return error


def _with_subclasses(kind: type[ServiceError]) -> list[type[ServiceError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _with_subclasses(child))]


def has_answered(agents: "asyncio.Task[AgencyResult]") -> bool:
    return agents.done() and not agents.cancelled() and agents.exception() is None


def out_of_time() -> OutOfTime:
    return OutOfTime("The run did not finish before the deadline of this invocation.")
