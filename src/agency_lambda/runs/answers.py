"""Requests whose input answers approvals, as `mcp_approval_response` items: they continue the run that waits."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agency_lambda.approvals import queries
from agency_lambda.approvals.deciders import Client
from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.validation import checked
from agency_lambda.errors import ApprovalDecided, InvalidRequest, NotFound
from agency_lambda.protocol import bounds
from agency_lambda.protocol.approval_answers import first_answer, is_answer
from agency_lambda.protocol.approvals import Decision
from agency_lambda.protocol.item_types import validate
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import new_response
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.protocol.types import Item
from agency_lambda.runs.decisions import (
    Decisions,
    answer_item,
    decide,
    kept_until,
    record,
    reread,
    with_input,
)
from agency_lambda.runs.idempotency_keys import IdempotencyKeys, IdempotentRequest
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.waiting import MOST_ASKED
from agency_lambda.store import Change, Conflict, Store

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

_RENEWED = ("background", "stream", "metadata")
_OWN = frozenset(  # parameters that a request may have of its own when it continues a run
    {*_RENEWED, "input", "model", "store", "previous_response_id", "conversation", "cancel_waiting"}
)


async def answer(
    runs: "RunService", request: CreateResponse, client: Client, idempotent: IdempotentRequest | None
) -> StoredResponse:
    """Decide what a request answers, and return the response that goes on, which the caller executes or follows.

    Raises:
        ApprovalDecided, ApproverRequired, InvalidRequest, NotFound: nothing is decided.
        Conflict: the run has changed meanwhile.
    """
    decisions = await _read(runs.store, request, client.name)
    responses = Responses(runs.store, client.name)
    waiting = await responses.get(decisions[0][0].run)
    # The client of a child run is that of the run for which it answers a message.
    stored = await responses.get(waiting.sending.shown_in) if waiting.sending else waiting
    run_id = stored.response["id"]
    _check_place(request, stored, asked_by=waiting.response["id"])
    decider, *_ = [client.decider_of(approval) for approval, _ in decisions]
    keys = IdempotencyKeys(runs.store, client.name)
    claims: list[Change] = [keys.put(idempotent, run_id)] if idempotent else []
    if waiting.sending or stored.continues is None or _has_begun(stored):  # it goes on under its own id
        _check_unchanged(stored, request, _OWN - {"metadata"})
        if request.stream and not stored.is_streamed:
            message = "The run that waits has no events: leave 'stream' out, and poll its response."
            raise InvalidRequest(message, param="stream")
        await decide(runs, decisions, decider, claims)
        return await responses.get(run_id)
    continued = _continued(stored, request, decisions)
    lease = await runs.leases.find(run_id)
    put = continued.put(client.name, kept_until(stored))
    try:
        await record(runs.store, decisions, decider, lease, [put, *claims])
    except Conflict:
        await reread(runs.store, decisions)
        raise
    if request.background:
        await runs.send(run_id, owner=client.name)
    return replace(continued, version=put.version)


def _has_begun(stored: StoredResponse) -> bool:
    return bool(stored.response["output"])


async def _read(store: Store, request: CreateResponse, owner: str) -> Decisions:
    if not request.stored:
        raise InvalidRequest("A run that waits is stored: 'store' cannot be false.", param="store")
    start = first_answer(request.input)
    items = [_parsed(item, f"input[{start + number}]") for number, item in enumerate(request.input[start:])]
    ids = [item["approval_request_id"] for item in items]
    if len(ids) > MOST_ASKED:
        raise bounds.over_limit("input", "answers", MOST_ASKED)
    if len(set(ids)) < len(ids):
        raise InvalidRequest("An approval is answered twice.", param="input")
    decisions = [await _decision(store, owner, item, start + number) for number, item in enumerate(items)]
    if len({approval.run for approval, _ in decisions}) > 1:
        raise InvalidRequest("The approvals are of several runs: answer each in a request of its own.", param="input")
    return decisions


def _parsed(item: Any, param: str) -> Item:
    if not is_answer(item):
        message = (
            "Answer approvals alone, with 'previous_response_id', or behind the conversation so far with the "
            "'mcp_approval_request' items in it: send anything else when the run has ended."
        )
        raise InvalidRequest(message, param=param)
    item = without_nulls(item)
    arguments = item.pop("arguments", None)  # a field of ours
    if arguments is not None and not isinstance(arguments, dict):
        raise InvalidRequest("must be an object", param=f"{param}.arguments")
    valid = validate("response_input_item.McpApprovalResponse", item, param)
    return valid if arguments is None else {**valid, "arguments": to_json_bytes(arguments).decode()}


async def _decision(store: Store, owner: str, item: Item, number: int) -> tuple[Approval, Decision]:
    approval_id, param = item["approval_request_id"], f"input[{number}].approval_request_id"
    found = await queries.find(store, owner, approval_id)
    if found is None:
        raise NotFound(f"Approval with id {approval_id[:99]!r} not found.", param=param)
    if not isinstance(found, Approval):
        raise ApprovalDecided(f"{approval_id} is {found.status} already.", param=param)
    decision = Decision(approve=item["approve"], reason=item.get("reason"), arguments=item.get("arguments"))
    return found, checked(found.request, decision, answer="reason")


def _check_place(request: CreateResponse, stored: StoredResponse, asked_by: str) -> None:
    before, conversation = request.previous_response_id, request.conversation_id
    chain = [*(stored.continues.before if stored.continues else []), stored.response["id"], asked_by]
    if before is None and conversation is None and not first_answer(request.input):
        message = "Answer with the 'previous_response_id' of the response that asks, or in its conversation."
        raise InvalidRequest(message, param="previous_response_id")
    if before is not None and before not in chain:
        raise InvalidRequest("This response has not asked for that approval.", param="previous_response_id")
    if conversation is not None and conversation != stored.request.conversation_id:
        raise InvalidRequest("That approval was not asked for in this conversation.", param="conversation")


def _check_unchanged(stored: StoredResponse, request: CreateResponse, own: frozenset[str]) -> dict[str, Any]:
    """Return the request's parameters. own: those that may differ from what the run was created with."""
    sent, body = request.model_dump(mode="json", exclude_unset=True, by_alias=True), stored.request.body
    for name in sent.keys() - own:
        if sent[name] != body.get(name):
            raise InvalidRequest(f"{name!r} stays as it was while a run waits: leave it out.", param=name)
    if request.model != body["model"]:
        raise InvalidRequest(f"The run that waits is of {body['model']!r}.", param="model")
    return sent


def _continued(stored: StoredResponse, request: CreateResponse, decisions: Decisions) -> StoredResponse:
    """Return the waiting run as this request continues it."""
    sent, body = _check_unchanged(stored, request, _OWN), stored.request.body
    own = {name: sent[name] for name in _RENEWED if name in sent}
    kept: dict[str, Any] = {name: value for name, value in body.items() if name not in _RENEWED}
    if "conversation" not in kept:
        kept["previous_response_id"] = stored.continues.before[-1] if stored.continues else None
    body = {**kept, **own}
    response = new_response(CreateResponse.model_validate(body), stored.response["id"], stored.request.conversation_id)
    response["status"] = "in_progress"
    stored = replace(stored, response=response, request=replace(stored.request, body=body))
    return with_input(stored, [answer_item(*each) for each in decisions])
