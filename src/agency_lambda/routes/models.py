from typing import Any

from fastapi import APIRouter

from agency_lambda import catalogue
from agency_lambda.errors import NotFound
from agency_lambda.routes.strict import StrictRoute

router = APIRouter(prefix="/v1/models", route_class=StrictRoute)


@router.get("")
async def models() -> dict[str, Any]:
    """List every agency, and the agents of those that were described already."""
    return {"object": "list", "data": [_model(name) for name in _names()]}


@router.get("/{model:path}")
async def model(model: str) -> dict[str, Any]:
    """Return one model."""
    agency, _, agent = model.partition("/")
    if agent and agency in catalogue.factories() and not catalogue.knows_agents(model):
        catalogue.description(agency)  # nobody has asked yet, and there is no manifest
    if model not in _names():
        raise NotFound(f"The model {model[:99]!r} does not exist.", param="model", code="model_not_found")
    return _model(model)


def _names() -> list[str]:
    return [
        name
        for agency in catalogue.factories()
        for name in (agency, *(f"{agency}/{agent}" for agent in catalogue.agents_of(agency) or ()))
    ]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]}
