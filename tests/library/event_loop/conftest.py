"""An environment for small apps made in a test, in both modes."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agency_lambda.testing.events import Context, http_event
from lambda_loop import EnvironmentLoop, InvocationReport


class Environment:
    """A Lambda environment: `get` invokes it; `report` is the last invocation's."""

    def __init__(self, endpoints: dict[str, Callable[..., Any]], mode: str, **options: Any) -> None:
        self.reports: list[InvocationReport] = []
        app = Starlette(routes=[Route(f"/{name}", _endpoint(call)) for name, call in endpoints.items()], **options)
        self.handler = EnvironmentLoop(app, mode, on_report=self.reports.append)  # type: ignore[arg-type]

    def get(self, name: str, seconds: float = 20.0) -> tuple[int, Any]:
        """Status and decoded body of one invocation."""
        answer = self.handler(http_event(path=f"/{name}"), Context(seconds))
        try:
            return answer["statusCode"], json.loads(answer["body"])
        except ValueError:
            return answer["statusCode"], answer["body"]

    @property
    def report(self) -> InvocationReport:
        return self.reports[-1]


def _endpoint(call: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        result = await call(request) if call.__code__.co_argcount else await call()
        return result if isinstance(result, Response) else JSONResponse(result)

    return endpoint


Make = Callable[..., Environment]


@pytest.fixture(params=["patch", "strict"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(mode: str) -> Iterator[Make]:
    """make(name=endpoint, ...) -> Environment, closed after the test."""
    made: list[Environment] = []

    def environment(mode: str = mode, options: dict[str, Any] | None = None, **endpoints: Any) -> Environment:
        made.append(Environment({"hello": hello, **endpoints}, mode, **(options or {})))
        return made[-1]

    yield environment
    for each in made:
        each.handler.close()


async def hello() -> str:
    return "hello"
