import logging
from typing import Any

from fastapi import APIRouter

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured, AgencyNotConfigured
from agency_lambda.routes.strict import StrictRoute

logger = logging.getLogger(__name__)
router = APIRouter(route_class=StrictRoute)


@router.get("/agencies")
async def agencies() -> dict[str, list[dict[str, Any]]]:
    """List names, agents, flows and tools of every agency; `error` marks one that does not work."""
    return {"agencies": [_described(name) for name in catalogue.factories()]}


def _described(name: str) -> dict[str, Any]:
    try:
        return catalogue.description(name)
    except (AgencyNotConfigured, AgencyMisconfigured) as error:
        logger.exception("agency %s cannot be described", name)
        return {"name": name, "entry_points": [], "agents": [], "flows": [], "error": {"code": error.kind}}
