"""The Model Context Protocol: agencies as tools, at one address, without sessions."""

from typing import Any

from fastapi import APIRouter, Request, Response

from agency_lambda.errors import NotFound
from agency_lambda.routes.dependencies import Caller, IdempotencyKey
from agency_lambda.routes.strict import StrictRoute
from agency_lambda.settings import get_settings

# The first request imports what the protocol needs, so that a start does not pay for it.
router = APIRouter(route_class=StrictRoute)


@router.post(
    "/mcp",
    response_model=None,
    openapi_extra={"requestBody": {"required": True}},
    responses={202: {"description": "A notification, or an answer to a form, was taken"}},
)
async def mcp(request: Request, caller: Caller, key: IdempotencyKey = None) -> Response:
    """Answer a JSON-RPC message of the Model Context Protocol: each agency is a tool."""
    from agency_lambda.routes.mcp.endpoint import answer

    return await answer(request, caller, key)


@router.get("/.well-known/oauth-protected-resource", response_model=None)
@router.get("/.well-known/oauth-protected-resource/mcp", response_model=None)
async def protected_resource(request: Request) -> dict[str, Any]:
    """Return who issues tokens, with `AUTH=jwt`: clients of MCP ask for it."""
    from agency_lambda.auth.protected_resource import metadata

    issuer = get_settings().jwt_issuer
    if issuer is None:
        raise NotFound("Nobody issues tokens for this service.")
    return metadata(request.scope, issuer)
