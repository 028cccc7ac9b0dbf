"""An agency that asks before it pays, and the service with it."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda import ask_person
from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.testing.events import Context, http_event
from agency_lambda.testing.service import read_events
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service

DAY = 24 * 3600
TO_EVE = {"to": "eve", "amount": 1}
Later = Callable[[float], None]
Start = Callable[..., "Desk"]


class Desk:
    """paid: the calls that were made. version: of the agency; what is changed in it is deployed at once.

    Ann has the runs; Eve is an operator, Bob is neither.
    """

    def __init__(self, service: Service, paid: list[tuple[str, int]], version: dict[str, Any] | None = None) -> None:
        self.service, self.paid, self.version = service, paid, version or {}

    @property
    def runs(self) -> Any:
        return get_run_service()

    def ask(self, **fields: Any) -> dict[str, Any]:
        """Begin a run that waits; in the background unless the fields say something else."""
        request = {"model": "desk", "input": "Pay Bob.", "background": True, **fields}
        if request.get("stream"):
            answer = self.service.handler(http_event("POST", "/v1/responses", request, **bearer("ann")), Context(60))
            return dict(read_events(answer["body"])[-1]["response"])
        status, response = self.service.post("/v1/responses", request, **bearer("ann"))
        assert status == 200, response
        if request["background"]:
            self.work(response["id"])
        return self.response(response["id"])

    def work(self, *run_ids: str) -> None:
        for run_id in run_ids:
            self.service.handler.run(worker.work(self.runs, run_id))

    def sweep(self) -> int:
        return int(self.service.handler.run(worker.reap_expired(self.runs)))

    def response(self, response_id: str) -> dict[str, Any]:
        status, response = self.service.get(f"/v1/responses/{response_id}", **bearer("ann"))
        assert status == 200, response
        return dict(response)

    def pending(self, caller: str = "ann") -> list[dict[str, Any]]:
        return list(self.get("/v1/approvals", caller)["data"])

    def get(self, path: str, caller: str = "ann") -> dict[str, Any]:
        status, found = self.service.get(path, **bearer(caller))
        assert status == 200, found
        return dict(found)

    def decide(self, approval_id: str, caller: str = "ann", **body: Any) -> tuple[int, dict[str, Any]]:
        """Returns (status, body)."""
        return self.service.post(f"/v1/approvals/{approval_id}", {"approve": True, **body}, **bearer(caller))

    def run(self, *coroutines: Any) -> list[Any]:
        async def together() -> list[Any]:
            return await asyncio.gather(*coroutines, return_exceptions=True)

        return list(self.service.handler.run(together()))


@pytest.fixture
def desk(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Start:
    """desk(approvers="both", tools=1, NAME=value, ...): with a model, of an agent that asks persons."""
    paid: list[tuple[str, int]] = []

    def pay(number: int, needs_approval: Any) -> Any:
        @function_tool(name_override=f"pay_{number}", needs_approval=needs_approval)
        async def called(to: str, amount: int) -> str:
            """Pays."""
            paid.append((to, amount))
            return f"paid {amount} to {to}"

        return called

    def begin(approvers: str | None = None, tools: int = 1, model: Any = None, **settings: str) -> Desk:
        version: dict[str, Any] = {"tools": tools, "needs_approval": True}

        def create() -> Agency:
            paying = [pay(number, version["needs_approval"]) for number in range(version["tools"])]
            given = [*([ask_person] if model else []), *paying]
            return Agency(Agent(name="Solo", instructions="You pay.", tools=given, model=model))

        monkeypatch.setattr("agencies.AGENCIES", {"desk": {"create_agency": create, "approvers": approvers}})
        return Desk(start(API_KEYS=api_keys(), **settings), paid, version)

    return begin


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """later(days): every clock of the calendar shows that many days from now."""
    now = time.time

    def move(days: float) -> None:
        monkeypatch.setattr("time.time", lambda: now() + days * DAY)

    return move


def text_of(response: dict[str, Any]) -> str:
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])


def asked_in(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == "mcp_approval_request"]


def has(value: Any, text: str) -> bool:
    return text in json.dumps(value)


def tool_node(trace: dict[str, Any]) -> dict[str, Any]:
    (node,) = [node for node in trace["root"]["children"] if node["type"] == "tool_call"]
    return dict(node)
