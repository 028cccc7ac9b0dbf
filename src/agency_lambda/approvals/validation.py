"""What a person's decision may say."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from agency_lambda.approvals.schemas import dotted, first_mismatch
from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.approvals import ApprovalRequest, Decision, arguments_object
from agency_lambda.protocol.bounds import over_limit
from agency_lambda.protocol.surrogates import replace_surrogates

MOST_REASON = 10_000  # characters of a reason or an answer
MOST_ARGUMENTS = 100_000  # bytes of JSON
MOST_VALUES = 1_000  # JSON values in arguments
_LONGEST_MESSAGE = 300  # characters of what the validator says


def checked(request: ApprovalRequest, decision: Decision, *, answer: str = "answer") -> Decision:
    """Return a decision that can be carried out. answer: the field with the answer of a question.

    Raises:
        InvalidRequest: names the field.
    """
    if not (decision.reason or "").strip():
        decision = replace(decision, reason=None)  # as an empty field of a form is
    if decision.reason is not None and len(decision.reason) > MOST_REASON:
        raise over_limit("reason", "characters", MOST_REASON)
    if decision.arguments is not None:
        _check_arguments(request, decision)
    if request.kind == "question" and decision.approve:
        _check_answer(request, decision, answer)
    return replace(decision, reason=replace_surrogates(decision.reason))


def _check_answer(request: ApprovalRequest, decision: Decision, field: str) -> None:
    if decision.reason is None:
        raise InvalidRequest(f"A question is answered by a text: send {field!r}, or 'approve': false.", param=field)
    if request.choices and decision.reason not in request.choices:
        known = ", ".join(map(repr, request.choices))
        raise InvalidRequest(f"The answer is none of the choices: {known[:_LONGEST_MESSAGE]}.", param=field)


def _check_arguments(request: ApprovalRequest, decision: Decision) -> None:
    if not decision.approve:
        raise InvalidRequest("A call that is refused has no arguments.", param="arguments")
    if request.kind != "tool" or request.schema is None:
        raise InvalidRequest("Nobody can change the arguments of this call.", param="arguments")
    text = decision.arguments or ""
    if len(text.encode(errors="replace")) > MOST_ARGUMENTS:
        raise over_limit("arguments", "bytes", MOST_ARGUMENTS)
    arguments = arguments_object(text)
    if arguments is None:
        raise InvalidRequest("The arguments are no JSON object.", param="arguments")
    if _count(arguments) > MOST_VALUES:
        raise over_limit("arguments", "values", MOST_VALUES)
    if found := first_mismatch(arguments, request.schema):
        path, message = found
        raise InvalidRequest(
            f"The arguments do not match: {message[:_LONGEST_MESSAGE]}.", param=f"arguments{dotted(path)}"
        )


def _count(value: Any) -> int:
    children: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_count, children))
