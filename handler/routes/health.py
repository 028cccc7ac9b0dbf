"""GET /health: the environment is up. Imports no agency, so it answers at once on a cold start."""

from fastapi import APIRouter

from handler.error_answers import RESPONSES
from handler.routes.strict import StrictRoute

router = APIRouter(responses=RESPONSES, route_class=StrictRoute)


@router.get("/health")
async def health() -> dict[str, str]:
    """`{"status": "ok"}`."""
    return {"status": "ok"}
