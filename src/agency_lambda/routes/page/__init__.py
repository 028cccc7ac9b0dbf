"""The page: `GET /`, and its files below `/page/`. What serves them is imported with the first request."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

INDEX = "/"
FOLDER = "/page/"  # everything below it is the page's, and needs no key


async def index(request: Request) -> Response:
    from agency_lambda.routes.page import serving

    return await serving.index(request)


async def file(request: Request) -> Response:
    from agency_lambda.routes.page import serving

    return serving.file(request)


# Plain routes: they are in no OpenAPI document, and what an issuer appends to the page's address is its query.
router = Router([Route(INDEX, index, methods=["GET"]), Route(f"{FOLDER}{{path:path}}", file, methods=["GET"])])
