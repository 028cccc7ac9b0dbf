from collections.abc import Awaitable, Callable, Collection

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from agency_lambda.auth.principal import Principal
from agency_lambda.errors import ServiceError, Unauthenticated
from agency_lambda.exception_handlers import error_response
from agency_lambda.owner_digest import owner_digest
from agency_lambda.settings import Settings
from lambda_loop import current_invocation

type Authenticator = Callable[[Scope], Awaitable[Principal]]
"""Returns who has sent a request. Raises Unauthenticated, or another ServiceError if it cannot be checked."""

type Challenge = Callable[[Scope, Unauthenticated], str]
"""Returns the header WWW-Authenticate of a 401."""


def _own_challenge(scope: Scope, error: Unauthenticated) -> str:
    return error.challenge


class Authentication:
    """Set `owner` and `is_operator` in the request's state, or answer 401.

    What is in `open_paths`, or below `open_folder`, needs no key.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticate: Authenticator,
        open_paths: Collection[str],
        challenge: Challenge = _own_challenge,
        open_folder: str | None = None,
    ) -> None:
        self._app, self._authenticate, self._challenge = app, authenticate, challenge
        self._open_paths, self._open_folder = open_paths, open_folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] != "http" or self._is_open(scope)
        if is_open and not _has_credentials(scope):  # else it may be told more
            return await self._app(scope, receive, send)
        try:
            principal = await self._authenticate(scope)
        except Unauthenticated as error:
            response = error_response(scope, error, {"www-authenticate": self._challenge(scope, error)})
        except ServiceError as error:
            response = error_response(scope, error)
        else:  # a copy: all requests share the app's own `state`
            state = {"owner": principal.owner, "is_operator": principal.is_operator}
            if invocation := current_invocation.get():
                invocation.report.fields["owner"] = owner_digest(principal.owner)
            return await self._app({**scope, "state": scope.get("state", {}) | state}, receive, send)
        await (self._app if is_open else response)(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path, folder = get_route_path(scope), self._open_folder
        return scope["method"] == "GET" and (path in self._open_paths or bool(folder and path.startswith(folder)))


def _has_credentials(scope: Scope) -> bool:
    return scope["type"] == "http" and any(name == b"authorization" for name, _ in scope["headers"])


def authenticator(settings: Settings) -> Authenticator:
    if settings.auth == "keys":
        from agency_lambda.auth.keys import KeyAuthenticator

        return KeyAuthenticator(settings)
    if settings.auth == "jwt":
        from agency_lambda.auth.tokens import TokenAuthenticator

        return TokenAuthenticator(settings)
    if settings.auth == "iam":
        from agency_lambda.auth.iam import signature_authenticator

        return signature_authenticator(settings.operators)
    from agency_lambda.auth.localhost import authenticate_localhost

    return authenticate_localhost
