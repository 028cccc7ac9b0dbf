"""The HTTP surface, one module a subject."""

from fastapi import APIRouter

from handler.errors import RESPONSES
from handler.routes import agencies, completion, health

router = APIRouter(responses=RESPONSES)
router.include_router(completion.router)
router.include_router(agencies.router)
router.include_router(health.router)
