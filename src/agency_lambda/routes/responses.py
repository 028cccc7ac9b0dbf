from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import JSONResponse

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.lazy_types import LazyType
from agency_lambda.protocol.request import CompactRequest, CreateResponse
from agency_lambda.protocol.response_object import as_answered, json_response
from agency_lambda.protocol.stream import EventStreamResponse, encoded_events, resumable_events
from agency_lambda.record.run_list import list_runs
from agency_lambda.routes.dependencies import Caller, IdempotencyKey, LastEventId, idempotent_request
from agency_lambda.routes.paging import TAKES_INCLUDE, Page, RunPage, cancelled_list, paginate
from agency_lambda.routes.strict import StrictRoute
from agency_lambda.settings import get_settings

if TYPE_CHECKING:
    from agency_lambda.protocol.token_count import CountInputTokens
    from agency_lambda.runs.client_run import Pad
else:
    CountInputTokens = Annotated[Any, LazyType("agency_lambda.protocol.token_count", "CountInputTokens")]

router = APIRouter(prefix="/v1/responses", route_class=StrictRoute)


@router.post("", response_model=None)
async def create(
    body: CreateResponse, caller: Caller, key: IdempotencyKey = None, last_event: LastEventId = None
) -> Response:
    """Run an agency. `model` is its name, or "agency/Agent"; `stream` asks for server-sent events."""
    root = caller.root_path
    idempotent = idempotent_request(key, "/v1/responses", body)
    run = await caller.begin(body, idempotent, lambda response: json_response(response, root))
    if body.stream:
        after = -1 if last_event is None else last_event
        events = run.events(root, _padding(body.wants_obfuscation), after)
        return EventStreamResponse(encoded_events(events), run.leave)
    response = await run.answer()
    return JSONResponse(response) if response["background"] and run.is_stored else json_response(response, root)


@router.get("", response_model=None)
async def list_responses(caller: Caller, requested: RunPage) -> dict[str, Any]:
    """List the stored responses without their output, newest first; the next page is `after` this one's `last_id`."""
    return await list_runs(caller.runs.store, [caller.owner], requested.query, requested.selected)


@router.post("/cancel", response_model=None)
async def cancel_all(caller: Caller) -> dict[str, Any]:
    """Cancel all unfinished runs, at most 100; with `has_more` there are others."""
    return cancelled_list(*await caller.runs.cancel_all(caller.owner))


@router.post("/compact", response_model=None)
async def compact(body: CompactRequest, caller: Caller) -> dict[str, Any]:
    """Replace the older turns by a summary, as one item that can be sent back."""
    return await caller.runs.compact(body, caller.owner)


@router.post("/input_tokens", response_model=None)
async def count_input_tokens(body: Annotated[CountInputTokens, Body()], caller: Caller) -> dict[str, Any]:
    """Estimate how many tokens the input of a response would have, without asking a model."""
    return await caller.runs.preparation.count_input_tokens(body, caller.owner)


@router.get("/{response_id}", response_model=None, dependencies=[TAKES_INCLUDE])
async def retrieve(
    response_id: str,
    caller: Caller,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=-1)] = None,
    include_obfuscation: bool = False,
    last_event: LastEventId = None,
) -> Response | dict[str, Any]:
    """Return a stored response; with `stream` its events after number `starting_after`."""
    if starting_after is not None and not stream:
        raise InvalidRequest("'starting_after' needs 'stream=true'.", param="starting_after")
    responses = caller.responses
    stored = await responses.get(response_id)
    if stream:
        if not stored.is_streamed:
            raise InvalidRequest("This response was not streamed, so it has no events.", param="stream")
        after = next((number for number in (last_event, starting_after) if number is not None), -1)
        events, pad = responses.events(response_id, after), _padding(include_obfuscation)
        rest = resumable_events(pad(events) if pad else events, stored.response, caller.root_path, after)
        return EventStreamResponse(encoded_events(rest))
    return as_answered(await caller.runs.shown(caller.owner, stored))


@router.delete("/{response_id}", response_model=None)
async def delete(response_id: str, caller: Caller) -> dict[str, Any]:
    """Delete a response and its events, and cancel its run. Its conversation keeps the items."""
    await caller.runs.delete(caller.owner, response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.get("/{response_id}/input_items", response_model=None, dependencies=[TAKES_INCLUDE])
async def input_items(response_id: str, caller: Caller, requested: Page) -> dict[str, Any]:
    """List the items that the response was created with."""
    stored = await caller.responses.get(response_id)
    return paginate(stored.request.input, requested)


@router.get("/{response_id}/trace", response_model=None)
async def trace(response_id: str, caller: Caller) -> dict[str, Any]:
    """Return what the agents did as a tree: who, which tool, when, tokens and price, and no content."""
    from agency_lambda.record.trace import load_trace, trace_options

    return await load_trace(caller.runs.store, caller.owner, response_id, trace_options(get_settings()))


@router.post("/{response_id}/cancel", response_model=None)
async def cancel(response_id: str, caller: Caller) -> Response:
    """Cancel a run and keep its output so far. 202 means that it will end soon."""
    return json_response(await caller.runs.cancel(caller.owner, response_id), caller.root_path)


def _padding(obfuscates: bool) -> "Pad | None":
    if not obfuscates:
        return None
    from agency_lambda.protocol.obfuscation import obfuscated  # few ask for it

    return obfuscated
