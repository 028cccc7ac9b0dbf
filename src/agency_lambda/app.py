import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp

from agency_lambda import __version__, exception_handlers
from agency_lambda.auth import Authentication, authenticator
from agency_lambda.middleware.outermost import Outermost
from agency_lambda.middleware.size_limits import AnswerLimit, BodyLimit
from agency_lambda.routes import routes_of
from agency_lambda.run_service import close_run_service, get_run_service
from agency_lambda.settings import Settings, get_settings

OPEN_PATHS = ("/health",)  # GET needs no key


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await close_run_service()


class App(FastAPI):
    """FastAPI with `Outermost` around its own error handling too."""

    origins: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    finds_base_path = True
    is_signed = False  # with AWS credentials, which the gateway has verified
    own_routes = 0  # how many of its routes, the first, are the service's

    def refuse_conflicts(self) -> None:
        """Raise ConfigurationError for an added route that the service's own routes hide."""
        if len(self.router.routes) > self.own_routes:
            from agency_lambda import route_conflicts

            route_conflicts.refuse(self.router.routes[: self.own_routes], self.router.routes[self.own_routes :])

    def refuse_names(self, agencies: Iterable[str]) -> None:
        """Raise ConfigurationError for an agency whose own routes, /{agency}/..., would be among the service's."""
        if "agency-swarm" in self.protocols:
            from agency_lambda import route_conflicts

            route_conflicts.refuse_names(self.router.routes[: self.own_routes], agencies)

    def openapi(self) -> dict[str, Any]:
        """Return FastAPI's document with the failures, the security and the types that its routes name."""
        known, document = self.openapi_schema, super().openapi()
        if document is not known:
            from agency_lambda.openapi.document import complete

            complete(document, OPEN_PATHS, iam=self.is_signed)
        return document

    def setup(self) -> None:
        if self.openapi_url:  # in front of FastAPI's own, which tells everybody the same
            self.add_route(self.openapi_url, _document, include_in_schema=False)
        super().setup()

    def build_middleware_stack(self) -> ASGIApp:
        return self.in_outermost(super().build_middleware_stack())

    def failure_response(self, status: int, kind: str, message: str) -> ASGIApp:
        return self.in_outermost(exception_handlers.error_app(status, kind, message))

    def in_outermost(self, app: ASGIApp) -> ASGIApp:
        return Outermost(app, self.router.routes, self.origins, finds_base_path=self.finds_base_path)


async def _document(request: Request) -> Response:
    """Answer with the OpenAPI document. Names of agencies are for who has a key."""
    from agency_lambda import catalogue
    from agency_lambda.openapi.agency_paths import with_agencies

    names = catalogue.factories() if hasattr(request.state, "owner") else ()
    root = request.scope.get("root_path", "")
    servers = {"servers": [{"url": root}]} if root else {}
    return JSONResponse(with_agencies(request.app.openapi(), names) | servers)


def create_app() -> App:
    settings = get_settings()
    is_shown = settings.docs == "1"
    # The page loads its scripts from elsewhere, so it is for this machine only.
    is_local = "AWS_LAMBDA_FUNCTION_NAME" not in os.environ
    app = App(
        title="agency-lambda",
        version=__version__,
        routes=routes_of(settings.protocols, page=settings.page == "1"),
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/openapi.json" if is_shown else None,
        docs_url="/docs" if is_shown and is_local else None,
    )
    app.own_routes = len(app.router.routes)
    app.state.runs = get_run_service
    app.protocols = settings.protocols
    app.is_signed = settings.auth == "iam"
    app.origins, app.finds_base_path = settings.cors_origins, not app.is_signed
    _guard(app, settings)
    exception_handlers.install(app)
    return app


def _guard(app: FastAPI, settings: Settings) -> None:
    # The inner first: no body is read without a key.
    app.add_middleware(AnswerLimit)
    app.add_middleware(BodyLimit)
    open_paths = {*OPEN_PATHS, *(path for path in (app.docs_url, app.openapi_url) if path)}
    options: dict[str, Any] = {}
    if settings.page == "1":
        from agency_lambda.routes.page import FOLDER, INDEX

        open_paths.add(INDEX)
        options["open_folder"] = FOLDER
    if settings.auth == "none":  # who is answered is decided by where it comes from, whatever it asks for
        open_paths, options = set(), {}
    if settings.auth == "jwt" and "mcp" in settings.protocols:
        from agency_lambda.auth import protected_resource

        open_paths |= {*protected_resource.OPEN_PATHS}
        options["challenge"] = protected_resource.challenge
    app.add_middleware(Authentication, authenticate=authenticator(settings), open_paths=open_paths, **options)
