from typing import Any

from fastapi import APIRouter

from agency_lambda.routes.dependencies import Caller
from agency_lambda.routes.strict import StrictRoute

router = APIRouter(prefix="/v1/caller", route_class=StrictRoute)


@router.get("")
async def get_caller(caller: Caller) -> dict[str, Any]:
    """Return under which name the caller's records are stored, and whether the caller is an operator."""
    return {"object": "caller", "owner": caller.owner, "operator": caller.client.is_operator}
