"""The FastAPI app: routes, limits, errors. The same one on Lambda, under uvicorn and in tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from handler import error_answers
from handler.auth import Authentication, caller_of
from handler.body_limit import BodyLimit
from handler.environment import close, runs
from handler.routes import ROUTES
from handler.settings import Settings, get_settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Close what the environment's requests shared."""
    yield
    await close()


def create_app() -> FastAPI:
    """The app; interactive docs only where no stranger can reach them."""
    shown = error_answers.has_document()
    docs = {"docs_url": "/docs", "openapi_url": "/openapi.json"} if shown else {"docs_url": None, "openapi_url": None}
    app = FastAPI(
        title="agency-lambda",
        version="0.1.0",
        routes=ROUTES,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        **docs,
    )
    app.state.runs = runs
    _guard(app, get_settings())
    error_answers.install(app)
    return app


def _guard(app: FastAPI, settings: Settings) -> None:
    """From the inside to the outside: nobody without a key makes us read a body, and no preflight needs a key."""
    app.add_middleware(BodyLimit)
    open_paths = {path for path in ("/health", app.docs_url, app.openapi_url) if path}
    if settings.auth == "none":  # who is answered is decided by where it comes from, whatever it asks for
        open_paths = set()
    app.add_middleware(Authentication, caller=caller_of(settings), open_paths=open_paths)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),  # OpenAI's client sends a dozen of its own
            expose_headers=("x-request-id", "location", "retry-after"),
        )


app = create_app()
