"""GET /agencies: who can be asked."""

from typing import Any

from fastapi import APIRouter

from handler import catalogue
from handler.error_answers import RESPONSES

router = APIRouter(responses=RESPONSES)


@router.get("/agencies")
async def agencies() -> dict[str, list[dict[str, Any]]]:
    """Names, agents, flows and tool names of every agency; never instructions."""
    known = catalogue.factories()
    return {"agencies": [catalogue.describe(name, catalogue.build(factory)) for name, factory in known.items()]}
