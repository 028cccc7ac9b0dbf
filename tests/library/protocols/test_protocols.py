"""PROTOCOLS decides which routes there are beside those of /v1/responses."""

import json
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from fastapi import APIRouter

from agency_lambda import routes
from agency_lambda.testing.events import http_event
from agency_lambda.validators import PROTOCOLS
from tests.library.conftest import Service


@pytest.fixture(autouse=True)
def protocol_mcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol `mcp` has one route, GET /spoken."""
    module = ModuleType("agency_lambda.routes.spoken")
    module.router = APIRouter()  # type: ignore[attr-defined]
    module.router.get("/spoken")(lambda: "spoken")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(routes.PROTOCOLS, "mcp", "spoken")


def test_a_protocol_that_is_off_has_no_route(start: Callable[..., Service]) -> None:
    assert start(PROTOCOLS="mcp").send(http_event("GET", "/spoken")) == (200, "spoken")
    assert start(PROTOCOLS="").send(http_event("GET", "/spoken")) == (200, "spoken")
    for off in ("responses", "ag-ui,files"):
        assert start(PROTOCOLS=off).send(http_event("GET", "/spoken"))[0] == 404


@pytest.mark.parametrize(("setting", "there"), [("mcp", True), ("responses", False)])
def test_the_document_shows_what_is_on(start: Callable[..., Service], setting: str, there: bool) -> None:
    _, document = start(PROTOCOLS=setting).send(http_event("GET", "/openapi.json"))
    assert ("/spoken" in document["paths"]) is there
    assert "/v1/responses" in json.dumps(document)


def test_every_protocol_that_can_be_switched_has_routes() -> None:
    assert {*routes.PROTOCOLS} == {*PROTOCOLS}
