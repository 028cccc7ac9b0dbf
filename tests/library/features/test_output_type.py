"""An agent's `output_type`: its answer is JSON of that form, or the run fails by an error of its own."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, AgentOutputSchemaBase, function_tool
from pydantic import BaseModel

from agency_lambda import catalogue
from agency_lambda.runs import worker
from tests.library.conftest import Service
from tests.library.features.rows import holds
from tests.library.model_server import ModelServer, call


class Order(BaseModel):
    number: int


class OwnSchema(AgentOutputSchemaBase):
    """One that raises what it likes."""

    def is_plain_text(self) -> bool:
        return False

    def name(self) -> str:
        return "own"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "object"}

    def is_strict_json_schema(self) -> bool:
        return False

    def validate_json(self, json_str: str) -> Any:
        if "number" not in json_str:
            raise LookupError("secret")
        return json.loads(json_str)


@function_tool
async def look_up() -> str:
    """Looks up."""
    return "found"


@pytest.fixture(params=[Order, OwnSchema()], ids=["pydantic", "own"])
def ask(request: pytest.FixtureRequest, start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Any:
    """ask(answers, **fields) -> (status, response, requests that the model was asked)."""

    def desk() -> Agency:
        return Agency(Agent(name="Solo", instructions=".", tools=[look_up], output_type=request.param))

    def asked(*answers: Any, **fields: Any) -> tuple[int, Any, int]:
        with ModelServer(answers) as server:
            service = start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url)
            event = {"model": "desk", "input": "Order?", **fields}
            if fields.get("stream"):
                return 200, service.respond("Order?", model="desk", stream=True)[-1]["response"], len(server.requests)
            status, response = service.post("/v1/responses", event)
            if fields.get("background"):
                from agency_lambda.run_service import get_run_service

                try:
                    service.handler.run(worker.work(get_run_service(), response["id"]))
                finally:
                    status, response = service.get(f"/v1/responses/{response['id']}")
            return status, response, len(server.requests)

    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": desk})
    return asked


def test_what_has_the_form_is_the_answer(ask: Any) -> None:
    _, response, _ = ask('{"number": 7}')
    assert json.loads(response["output"][-1]["content"][0]["text"]) == {"number": 7}


@holds("output_type")
def test_what_misses_it_is_an_error_of_its_own(ask: Any) -> None:
    status, body, requests = ask(call("look_up"), "Order seven.")
    assert (status, body["error"]["code"], requests) == (502, "invalid_output", 2)
    assert "output_type" in body["error"]["message"]
    assert "secret" not in str(body)


@pytest.mark.parametrize("way", ["stream", "background"])
def test_in_every_way_and_it_is_not_asked_again(ask: Any, way: str) -> None:
    _, response, requests = ask(call("look_up"), "Order seven.", **{way: True})
    assert (response["status"], response["error"]["detail_code"], requests) == ("failed", "invalid_output", 2)
