"""The FastAPI app: routes, limits, errors. The same one on Lambda, under uvicorn and in tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from agency_lambda import __version__, exception_handlers
from agency_lambda.auth import Authentication, authenticator
from agency_lambda.middleware.outermost import Outermost
from agency_lambda.middleware.size_limits import AnswerLimit, BodyLimit
from agency_lambda.routes import ROUTES
from agency_lambda.run_service import close_run_service, get_run_service
from agency_lambda.settings import Settings, get_settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Close what the environment's requests shared."""
    yield
    await close_run_service()


class App(FastAPI):
    """FastAPI with one middleware around everything, its own answer to a defect too. See Outermost."""

    origins: tuple[str, ...] = ()
    finds_base_path = True

    def build_middleware_stack(self) -> ASGIApp:
        """Called once, before the first request."""
        return self.in_outermost(super().build_middleware_stack())

    def failure_response(self, status: int, kind: str, message: str) -> ASGIApp:
        """The answer for a request that this app did not answer: the event loop sends it (see EnvironmentLoop)."""
        return self.in_outermost(exception_handlers.error_app(status, kind, message))

    def in_outermost(self, app: ASGIApp) -> ASGIApp:
        """Give what an ASGI app answers the headers that every answer has."""
        return Outermost(app, self.router.routes, self.origins, finds_base_path=self.finds_base_path)


def create_app() -> App:
    """The app; interactive docs only where no stranger can reach them."""
    shown = exception_handlers.has_document()
    docs = {"docs_url": "/docs", "openapi_url": "/openapi.json"} if shown else {"docs_url": None, "openapi_url": None}
    app = App(
        title="agency-lambda",
        version=__version__,
        routes=ROUTES,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        **docs,
    )
    app.state.runs, settings = get_run_service, get_settings()
    app.origins, app.finds_base_path = settings.cors_origins, settings.auth != "iam"
    _guard(app, settings)
    exception_handlers.install(app)
    return app


def _guard(app: FastAPI, settings: Settings) -> None:
    """From the inside to the outside: nobody without a key makes us read a body."""
    app.add_middleware(AnswerLimit)
    app.add_middleware(BodyLimit)
    open_paths = {path for path in ("/health", app.docs_url, app.openapi_url) if path}
    if settings.auth == "none":  # who is answered is decided by where it comes from, whatever it asks for
        open_paths = set()
    app.add_middleware(Authentication, authenticate=authenticator(settings), open_paths=open_paths)
