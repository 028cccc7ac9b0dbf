from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from agency_lambda.protocol.response_object import as_answered, json_response
from agency_lambda.record.run_list import list_runs
from agency_lambda.routes.dependencies import Operator, OwnerFilter
from agency_lambda.routes.paging import RunPage, cancelled_list
from agency_lambda.routes.strict import StrictRoute
from agency_lambda.settings import get_settings

router = APIRouter(prefix="/v1/admin", route_class=StrictRoute)


@router.get("/responses")
async def list_responses(operator: Operator, requested: RunPage, owner: OwnerFilter = None) -> dict[str, Any]:
    """List the runs of every owner, or of one, each with its `owner`."""
    store = operator.runs.store
    owners = [operator.owner] if operator.owner else await operator.runs.owners.known()
    return await list_runs(store, owners, requested.query, requested.selected, for_operator=True)


@router.post("/responses/cancel")
async def cancel_all(operator: Operator, owner: Annotated[str, Query()]) -> dict[str, Any]:
    """Cancel all unfinished runs of an owner, at most 100; with `has_more` there are others."""
    return cancelled_list(*await operator.runs.cancel_all(operator.owner))


@router.get("/responses/{response_id}", response_model=None)
async def retrieve_response(response_id: str, operator: Operator, owner: OwnerFilter = None) -> dict[str, Any]:
    """Return a stored response of any owner."""
    stored = await operator.responses.get(response_id)
    return {**as_answered(await operator.runs.shown(operator.owner, stored)), "owner": operator.owner}


@router.get("/responses/{response_id}/trace", response_model=None)
async def trace(response_id: str, operator: Operator, owner: OwnerFilter = None) -> dict[str, Any]:
    """Return what the agents of any owner's run did, with instructions, inputs and outputs unless TRACE_CONTENT=0."""
    from agency_lambda.record.trace import load_trace, trace_options

    settings = get_settings()
    options = trace_options(settings, with_contents=settings.trace_content == "1")
    found = await load_trace(operator.runs.store, operator.owner, response_id, options)
    contents = "included" if options.with_contents else "off"
    return {"owner": operator.owner, "contents": contents, **found}


@router.post("/responses/{response_id}/cancel", response_model=None)
async def cancel_response(response_id: str, operator: Operator, owner: OwnerFilter = None) -> Response:
    """Cancel a run of any owner."""
    response = json_response(await operator.runs.cancel(operator.owner, response_id), operator.root_path)
    if "location" in response.headers:
        response.headers["location"] = f"{operator.root_path}/v1/admin/responses/{response_id}"
    return response
