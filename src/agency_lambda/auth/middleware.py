"""Before every route: whose request is it?"""

from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any

from fastapi import Request, Security
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from agency_lambda.errors import ServiceError, Unauthenticated
from agency_lambda.exception_handlers import error_response, has_document
from agency_lambda.settings import Settings

type Authenticator = Callable[[Scope], Awaitable[str]]
"""The owner whom a request shows to be its caller. Raises Unauthenticated, or why that cannot be said."""


class Authentication:
    """ASGI middleware: without an owner nothing is answered but GET of `open_paths`.

    Sets ``scope["state"]["owner"]``.
    """

    def __init__(self, app: ASGIApp, caller: Authenticator, open_paths: Collection[str]) -> None:
        self._app, self._caller, self._open_paths = app, caller, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_open(scope):
            return await self._app(scope, receive, send)
        try:
            owner = await self._caller(scope)
        except Unauthenticated as error:
            response = error_response(scope, error, {"www-authenticate": error.challenge})
        except ServiceError as error:
            response = error_response(scope, error)
        else:  # a copy: what the app's startup left in `state` is everybody's
            return await self._app({**scope, "state": {**scope.get("state", {}), "owner": owner}}, receive, send)
        await response(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return scope["method"] == "GET" and get_route_path(scope) in self._open_paths


def authenticator(settings: Settings) -> Authenticator:
    """As AUTH says; only what it names is imported.

    Raises:
        ConfigurationError: nobody could ever call.
    """
    if settings.auth == "keys":
        from agency_lambda.auth.keys import KeyAuthenticator

        return KeyAuthenticator(settings)
    if settings.auth == "jwt":
        from agency_lambda.auth.tokens import TokenAuthenticator

        return TokenAuthenticator(settings)
    if settings.auth == "iam":
        from agency_lambda.auth.iam import authenticate_signature

        return authenticate_signature
    from agency_lambda.auth.localhost import authenticate_localhost

    return authenticate_localhost


def with_security_scheme[T](dependency: Callable[[Request], Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """The same dependency, telling the OpenAPI document, where there is one, that a key is needed."""
    if not has_document():
        return dependency
    from fastapi.security import HTTPBearer

    async def with_security_scheme(request: Request, _: Annotated[Any, Security(HTTPBearer(auto_error=False))]) -> T:
        return await dependency(request)

    return with_security_scheme
