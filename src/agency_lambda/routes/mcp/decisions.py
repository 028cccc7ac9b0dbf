"""What persons decide by forms that their clients show."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.queries import pending
from agency_lambda.approvals.validation import checked
from agency_lambda.errors import ApprovalDecided, ApproverRequired, InvalidRequest
from agency_lambda.protocol.mcp.elicitation import decision_of, form
from agency_lambda.protocol.mcp.messages import Object, Reply, server_request
from agency_lambda.routes.dependencies import Caller
from agency_lambda.routes.mcp.exchange import Exchange, RunState
from agency_lambda.runs.time_left import seconds_to_wait

_PATIENCE = 300.0  # seconds that a stream waits for a person
_LOOK = 1.0  # seconds between looks
_closed_forms: dict[str, asyncio.Event] = {}  # by the request's id: those that a stream of this process waits for


def input_requests(approvals: Sequence[Approval]) -> Object:
    """Return forms by the ids of their approvals."""
    return {each.id: {"method": "elicitation/create", "params": form(each.request)} for each in approvals}


async def decide(caller: Caller, approvals: Sequence[Approval], results: Mapping[str, Any]) -> bool:
    """Decide what the results of forms say, by the ids of approvals; return whether they say anything.

    What does not match its form decides nothing. Raises StoreUnavailable, UnsupportedParameter.
    """
    any_decided = False
    for approval in approvals:
        decision = decision_of(approval.request, results.get(approval.id))
        if decision is None:
            continue
        with suppress(InvalidRequest, ApprovalDecided, ApproverRequired):
            decision, decider = checked(approval.request, decision), caller.client.decider_of(approval)
            any_decided = True
            await caller.runs.decide(approval, decision, decider)
    return any_decided


async def ask_in_stream(exchange: Exchange, state: RunState, meta: Object | None = None) -> RunState:
    """Send forms on the stream of a client of an earlier version, and return where the run stands then.

    meta: of the forms.
    """
    forms: dict[str, str] = {}
    try:
        while exchange.is_live and (approvals := state.decidable):
            for approval in approvals:
                if approval.id not in forms:
                    forms[approval.id] = _send_form(exchange, approval, meta)
            if not await _has_changed(exchange, [(each, forms[each.id]) for each in approvals]):
                break
            state = await exchange.wait(await exchange.state(state.response["id"]))
    finally:
        for request_id in forms.values():
            del _closed_forms[request_id]
    return state


async def take_reply(caller: Caller, reply: Reply) -> None:
    """Decide what the answer to a form says; nothing if it was closed, which is not waited for any more."""
    approval_id = str(reply.id).partition(".")[0]
    place = caller.runs.store, caller.owner
    await decide(caller, await pending(*place, [approval_id]), {approval_id: reply.result})
    if closed := _closed_forms.get(str(reply.id)):
        closed.set()


def _send_form(exchange: Exchange, approval: Approval, meta: Object | None) -> str:
    # The id is enough to decide by, wherever the answer arrives.
    request_id = f"{approval.id}.{uuid.uuid4().hex[:8]}"
    _closed_forms[request_id] = asyncio.Event()
    parameters = {name: value for name, value in form(approval.request).items() if name != "mode"}
    exchange.send(server_request(request_id, "elicitation/create", {**parameters, **({"_meta": meta} if meta else {})}))
    return request_id


async def _has_changed(exchange: Exchange, forms: Sequence[tuple[Approval, str]]) -> bool:
    """Return whether one is decided before all forms are closed or time is up."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(_PATIENCE, seconds_to_wait())
    closed = [_closed_forms[request_id] for _, request_id in forms]
    place, ids = (exchange.caller.runs.store, exchange.caller.owner), [approval.id for approval, _ in forms]
    while exchange.is_live and loop.time() < end:
        are_closed = all(each.is_set() for each in closed)  # first: what was decided then is seen
        if len(await pending(*place, ids)) < len(ids):
            return True
        if are_closed:
            return False
        waiting = [asyncio.create_task(each.wait()) for each in closed if not each.is_set()]
        await asyncio.wait(waiting, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
    return False
