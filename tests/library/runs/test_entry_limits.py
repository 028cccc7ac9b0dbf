"""Limits and the model that an entry of AGENCIES has of its own."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from agency_swarm import Agency, Agent
from agency_swarm.agent.constants import FRAMEWORK_DEFAULT_MODEL
from agents import Agent as SdkAgent
from agents import Runner, function_tool
from agents.models import get_default_model

from tests.library.conftest import Service
from tests.library.model_server import ModelRequest, ModelServer


@function_tool
async def ask_judge() -> str:
    """Asks one of the SDK's agents, which names no model."""
    await Runner.run(SdkAgent(name="Judge", instructions="You are Judge."), "a question")
    return "asked"


def create_agency() -> Agency:
    named = Agent(name="Named", instructions="You are Named.", model="gpt-4.1")
    return Agency(Agent(name="Boss", instructions="You are Boss.", tools=[ask_judge]), named)


@pytest.fixture
def limited(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Service]:
    """limited({limits}, SETTING=value, ...) -> a service with an agency of these limits, and "free" without any."""

    def made(limits: dict[str, Any], **variables: str) -> Service:
        module = ModuleType("agencies")
        module.AGENCIES = {  # type: ignore[attr-defined]
            "limited": {"create_agency": create_agency, **limits},
            "free": {"create_agency": create_agency},
        }
        monkeypatch.setitem(sys.modules, "agencies", module)
        return start(**variables)

    return made


def for_ever(request: ModelRequest) -> Any:
    return [("ask_judge", {})] if request.tools else "aye"


def ask(service: Service, agency: str) -> dict[str, Any]:
    _, body = service.post("/v1/responses", {"model": agency, "input": "hello"})
    return dict(body.get("response") or body)


def test_calls_are_limited_for_this_agency_only(limited: Callable[..., Service]) -> None:
    with ModelServer(for_ever) as server:
        service = limited(
            {"max_model_calls": 3}, MAX_MODEL_CALLS="6", OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=server.base_url
        )
        counts = []
        for agency in ("limited", "free"):
            server.requests.clear()
            ask(service, agency)
            counts.append(len(server.requests))
    assert counts == [3, 6]


def test_tokens_are_limited_for_this_agency_only(limited: Callable[..., Service]) -> None:
    with ModelServer(for_ever) as server:
        service = limited({"max_output_tokens": 16}, OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=server.base_url)
        ask(service, "limited")
        assert server.tokens[1] < 40
        server.requests.clear()
        ask(service, "free")
        assert len(server.requests) == 50


@pytest.mark.parametrize(("agency", "calls"), [("limited", 1), ("free", 3)])
def test_limit_of_an_entry_holds_offline_too(limited: Callable[..., Service], agency: str, calls: int) -> None:
    service = limited({"max_model_calls": 1})
    ask(service, agency)
    assert service.report.fields["model_calls"] == calls


@pytest.mark.parametrize(
    ("agency", "setting", "expected"),
    [
        ("limited", "", {"Boss": "of-the-entry", "Judge": "of-the-entry"}),
        ("limited", "of-the-setting", {"Boss": "of-the-entry", "Judge": "of-the-entry"}),
        ("free", "of-the-setting", {"Boss": "of-the-setting", "Judge": "of-the-setting"}),
        ("free", "", {"Boss": FRAMEWORK_DEFAULT_MODEL, "Judge": get_default_model()}),
        ("limited/Named", "", {"Named": "gpt-4.1"}),
    ],
)
def test_model_of_an_entry_is_that_of_agents_that_name_none(
    limited: Callable[..., Service], agency: str, setting: str, expected: dict[str, str]
) -> None:
    with ModelServer(lambda request: "aye" if len(server.requests) > 1 else for_ever(request)) as server:
        variables = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": server.base_url, "MODEL": setting}
        ask(limited({"model": "of-the-entry"}, **variables), agency)
        asked = {
            request.instructions.removeprefix("You are ").split(".")[0]: request.body["model"]
            for request in server.requests
        }
    assert asked == expected


def test_compaction_has_the_model_of_the_entry(limited: Callable[..., Service]) -> None:
    with ModelServer(["a summary"]) as server:
        service = limited({"model": "of-the-entry"}, OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=server.base_url)
        talk = [{"role": role, "content": "words"} for role in ("user", "assistant") * 9]
        assert service.post("/v1/responses/compact", {"model": "limited", "input": talk})[0] == 200
        assert [request.body["model"] for request in server.requests] == ["of-the-entry"]
