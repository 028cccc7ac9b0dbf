"""What a tool can know of the call that runs it."""

import asyncio
from typing import Any

import pytest
from agency_swarm import Agency, Agent, BaseTool, function_tool

from agency_lambda import idempotency_key
from tests.library.conftest import Service
from tests.library.model_server import ModelServer, call


def test_each_call_has_a_key_of_its_own(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []

    @function_tool
    async def order() -> str:
        """Orders."""
        await asyncio.sleep(0)
        keys.append(idempotency_key())
        return "ordered"

    class Pay(BaseTool):
        """Pays, in a thread."""

        def run(self) -> str:
            keys.append(idempotency_key())
            return "paid"

    agent = lambda: Agency(Agent(name="One", instructions="One", model="one", tools=[order, Pay]))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"letters": agent})
    with ModelServer([[*call("order"), *call("order"), *call("Pay")], "done"]) as server:
        service: Service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        response = service.respond("go")
    assert len(set(keys)) == 3
    assert all(key.startswith(f"{response['id']}/One/") for key in keys)
    assert idempotency_key() == ""
