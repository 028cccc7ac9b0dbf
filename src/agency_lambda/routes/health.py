from fastapi import APIRouter

from agency_lambda import __version__
from agency_lambda.routes.strict import StrictRoute

router = APIRouter(route_class=StrictRoute)


@router.get("/health")
async def health() -> dict[str, str]:
    """Return `{"status": "ok", "version": "1.2.3"}`."""
    return {"status": "ok", "version": __version__}
