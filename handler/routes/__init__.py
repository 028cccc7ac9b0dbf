"""The HTTP surface, one module a subject."""

from fastapi import APIRouter

from handler.error_answers import RESPONSES, V1_RESPONSES
from handler.routes import agencies, completion, conversations, health, models, responses

router = APIRouter()
for ours in (completion, agencies, health):
    router.include_router(ours.router, responses=RESPONSES)
for openai in (responses, conversations, models):
    router.include_router(openai.router, responses=V1_RESPONSES)
