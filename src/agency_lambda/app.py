from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from agency_lambda import __version__, exception_handlers
from agency_lambda.auth import Authentication, authenticator
from agency_lambda.middleware.outermost import Outermost
from agency_lambda.middleware.size_limits import AnswerLimit, BodyLimit
from agency_lambda.routes import routes_of
from agency_lambda.run_service import close_run_service, get_run_service
from agency_lambda.settings import Settings, get_settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await close_run_service()


class App(FastAPI):
    """FastAPI with `Outermost` around its own error handling too."""

    origins: tuple[str, ...] = ()
    finds_base_path = True
    own_routes = 0  # how many of its routes, the first, are the service's

    def refuse_conflicts(self) -> None:
        """Raise ConfigurationError for an added route that the service's own routes hide."""
        if len(self.router.routes) > self.own_routes:
            from agency_lambda import route_conflicts

            route_conflicts.refuse(self.router.routes[: self.own_routes], self.router.routes[self.own_routes :])

    def build_middleware_stack(self) -> ASGIApp:
        return self.in_outermost(super().build_middleware_stack())

    def failure_response(self, status: int, kind: str, message: str) -> ASGIApp:
        return self.in_outermost(exception_handlers.error_app(status, kind, message))

    def in_outermost(self, app: ASGIApp) -> ASGIApp:
        return Outermost(app, self.router.routes, self.origins, finds_base_path=self.finds_base_path)


def create_app() -> App:
    settings, shown = get_settings(), exception_handlers.has_document()
    docs = {"docs_url": "/docs", "openapi_url": "/openapi.json"} if shown else {"docs_url": None, "openapi_url": None}
    app = App(
        title="agency-lambda",
        version=__version__,
        routes=routes_of(settings.protocols),
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        **docs,
    )
    app.own_routes = len(app.router.routes)
    app.state.runs = get_run_service
    app.origins, app.finds_base_path = settings.cors_origins, settings.auth != "iam"
    _guard(app, settings)
    exception_handlers.install(app)
    return app


def _guard(app: FastAPI, settings: Settings) -> None:
    # The inner first: no body is read without a key.
    app.add_middleware(AnswerLimit)
    app.add_middleware(BodyLimit)
    open_paths = {path for path in ("/health", app.docs_url, app.openapi_url) if path}
    if settings.auth == "none":  # who is answered is decided by where it comes from, whatever it asks for
        open_paths = set()
    app.add_middleware(Authentication, authenticate=authenticator(settings), open_paths=open_paths)
