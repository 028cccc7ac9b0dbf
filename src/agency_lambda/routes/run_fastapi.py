"""The routes of Agency Swarm's own server, `run_fastapi`, on the same runs as /v1/responses."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Response
from fastapi.responses import JSONResponse

from agency_lambda import catalogue
from agency_lambda.approvals.model import owner_decides
from agency_lambda.errors import InvalidRequest, NotFound, ServiceError
from agency_lambda.protocol.lazy_types import LazyType
from agency_lambda.protocol.response_object import FINAL, ResponseObject, json_response, open_requests
from agency_lambda.protocol.stream import EventStreamResponse
from agency_lambda.routes.dependencies import Caller, IdempotencyKey, idempotent_request
from agency_lambda.routes.strict import StrictRoute
from agency_lambda.settings import get_settings

if TYPE_CHECKING:
    from agency_lambda.protocol.run_fastapi.request import CancelResponse, GetResponse
    from agency_lambda.protocol.run_fastapi.turn import Turn
    from agency_lambda.runs.client_run import ClientRun
    from agency_lambda.runs.idempotency_keys import IdempotentRequest
else:  # imported by the first request
    _TYPES = "agency_lambda.protocol.run_fastapi.request"
    GetResponse = Annotated[Any, LazyType(_TYPES, "GetResponse")]
    CancelResponse = Annotated[Any, LazyType(_TYPES, "CancelResponse")]

router = APIRouter(prefix="/{agency}", route_class=StrictRoute)

_EVENTS: dict[int | str, dict[str, Any]] = {200: {"description": "Events", "content": {"text/event-stream": {}}}}


@router.post("/get_response", response_model=None)
async def get_response(
    agency: str, body: Annotated[GetResponse, Body()], caller: Caller, key: IdempotencyKey = None
) -> Response:
    """Run an agency, as the route of Agency Swarm's `run_fastapi`. `new_messages` is what the next turn adds."""
    turn = _turn(agency, body, caller)
    run = await _begin(turn, caller, idempotent_request(key, f"/{agency}/get_response", body), stream=False)
    response = await run.answer()
    return json_response(response, caller.root_path, turn.answer(response))


@router.post("/get_response_stream", response_model=None, responses=_EVENTS)
async def get_response_stream(
    agency: str, body: Annotated[GetResponse, Body()], caller: Caller, key: IdempotencyKey = None
) -> Response:
    """Run an agency, and send its events as Agency Swarm's `run_fastapi` does."""
    from agency_lambda.protocol.run_fastapi.events import Stream

    turn = _turn(agency, body, caller)
    idempotent = idempotent_request(key, f"/{agency}/get_response_stream", body)
    run = await _begin(turn, caller, idempotent, stream=True)
    stream = Stream(run.events(caller.root_path), run.response, turn)

    async def close() -> None:
        # Its clients cannot come back to a run, and stop one by leaving. A request that is cancelled has not left.
        if not (stream.is_over or run.is_stored or asyncio.current_task().cancelling()):  # type: ignore[union-attr]
            with suppress(ServiceError):  # then it goes on
                await caller.runs.cancel(caller.owner, run.response["id"])
        await run.leave()

    return EventStreamResponse(stream.encoded(), close)


@router.post("/cancel_response_stream", response_model=None)
async def cancel_response_stream(agency: str, body: Annotated[CancelResponse, Body()], caller: Caller) -> Response:
    """Cancel a run, wherever it runs, and return its messages so far. It ends at once, in either mode."""
    from agency_lambda.protocol.run_fastapi.cancelled import cancelled

    stored = await caller.responses.get(body.run_id)
    is_over = stored.response["status"] in FINAL and not open_requests(stored.response)
    if stored.response["model"].partition("/")[0] != agency or (is_over and stored.response["status"] != "cancelled"):
        raise NotFound(f"Run {body.run_id[:99]!r} not found or already completed.", param="run_id")
    response = await caller.runs.cancel(caller.owner, body.run_id)
    return JSONResponse(cancelled(response, stored.request.input))


@router.get("/get_metadata", response_model=None)
async def get_metadata(agency: str) -> dict[str, Any]:
    """Describe an agency as a graph: its agents, the names of their tools, and who asks whom."""
    from importlib.metadata import version

    from agency_lambda.protocol.run_fastapi.metadata import graph

    return graph(catalogue.description(agency), version("agency-swarm"))


def _turn(agency: str, body: "GetResponse", caller: Caller) -> "Turn":
    """Raises UnknownName."""
    from agency_lambda.protocol.run_fastapi.turn import Turn

    name, _ = catalogue.find(agency)
    approvers = catalogue.entry(name).approvers or get_settings().approvers
    return Turn(name, body, may_decide=owner_decides(approvers))


async def _begin(turn: "Turn", caller: Caller, idempotent: "IdempotentRequest | None", *, stream: bool) -> "ClientRun":
    """Continue the response that the history is of, if the owner has it, else begin with the history's messages."""
    if turn.continues:
        try:
            return await _begun(turn, caller, idempotent, stream=stream, continues=True)
        except (InvalidRequest, NotFound) as error:  # it is deleted, unfinished, or another owner's
            if error.param != "previous_response_id":
                raise
    return await _begun(turn, caller, idempotent, stream=stream, continues=False)


async def _begun(
    turn: "Turn", caller: Caller, idempotent: "IdempotentRequest | None", *, stream: bool, continues: bool
) -> "ClientRun":
    def render(response: ResponseObject) -> Response:
        return json_response(response, caller.root_path, turn.answer(response))

    with turn.names(continues=continues).applied():
        return await caller.begin(turn.request(stream=stream, continues=continues), idempotent, render)
