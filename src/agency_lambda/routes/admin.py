from typing import Any

from fastapi import APIRouter, Response

from agency_lambda.exception_handlers import V1_RESPONSES
from agency_lambda.protocol.response_object import json_response
from agency_lambda.routes.dependencies import Operator, OwnerFilter
from agency_lambda.routes.strict import StrictRoute

router = APIRouter(prefix="/v1/admin", responses=V1_RESPONSES, route_class=StrictRoute)


@router.get("/responses/{response_id}", response_model=None)
async def retrieve_response(response_id: str, operator: Operator, owner: OwnerFilter = None) -> dict[str, Any]:
    """Return a stored response of any owner."""
    stored = await operator.responses.get(response_id)
    return {**stored.response, "owner": operator.owner}


@router.post("/responses/{response_id}/cancel", response_model=None)
async def cancel_response(response_id: str, operator: Operator, owner: OwnerFilter = None) -> Response:
    """Cancel a run of any owner."""
    return json_response(await operator.runs.cancel(operator.owner, response_id), operator.root_path)
