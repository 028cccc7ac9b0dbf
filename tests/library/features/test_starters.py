"""Quick replies and cached conversation starters: answered once by the model, then without it, for one owner only."""

import asyncio
import inspect
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from agency_swarm.agent import conversation_starters_cache

from agency_lambda import catalogue
from agency_lambda.framework import conversation_starters
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.settings import Settings
from tests.library.conftest import Service
from tests.library.features.rows import holds
from tests.library.runs.stage import on_stage, said, told

KINDS: dict[str, dict[str, Any]] = {
    "quick_replies": {"quick_replies": ["Yes", "No"]},
    "cached_starters": {"conversation_starters": ["Yes", "No"], "cache_conversation_starters": True},
}
OF_A_KIND = pytest.mark.parametrize("kind", KINDS)


class Counting(OfflineModel):
    """Counts its calls; every answer is another."""

    calls = 0

    def __init__(self) -> None:
        super().__init__("Solo", lambda turn: f"offline model: answer {Counting.calls}")

    def _answer(self, *args: Any) -> Any:
        Counting.calls += 1
        return super()._answer(*args)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conversation_starters._root.cache_clear()
    monkeypatch.chdir(tmp_path)  # for the store of `ask`, and to see that nothing is written here
    monkeypatch.setattr(Counting, "calls", 0)


def desk(kind: str, **more: Any) -> Callable[[], Agency]:
    return lambda: Agency(Agent(name="Solo", instructions="Reply.", model=Counting(), **KINDS[kind], **more))


def ask(create: Callable[[], Agency], *asked: dict[str, Any]) -> list[Any]:
    """The texts of these requests, one after the other."""

    async def whole() -> list[Any]:
        texts = []
        async with on_stage(create, Settings(_env_file=None, store="sqlite:///agency.db")) as runs:
            for fields in asked:
                owner = fields.pop("owner", "owner")
                request = CreateResponse.model_validate({"model": "desk", "stream": False, **fields})
                shown = await told(await runs.create(request, owner))
                assert shown.response["status"] == "completed"
                texts.append("".join(said(item) for item in shown.items if item["type"] == "message"))
        return texts

    return asyncio.run(asyncio.wait_for(whole(), 30))


@holds("quick_replies", "cache_conversation_starters")
@OF_A_KIND
@pytest.mark.parametrize("stream", [True, False])
def test_it_is_answered_by_the_model_once(kind: str, stream: bool) -> None:
    first, again, other = ask(desk(kind), *({"input": text, "stream": stream} for text in ("Yes", " yes", "No")))
    assert (first, again, other) == ("offline model: answer 1", first, "offline model: answer 2")
    assert Counting.calls == 2
    assert not Path(".agency_swarm").exists()


@OF_A_KIND
def test_nothing_is_asked_when_an_agency_is_built(kind: str) -> None:
    built = catalogue.build(desk(kind))
    assert Counting.calls == 0
    (shown,) = catalogue.describe("desk", built)["agents"]
    assert shown["quick_replies"] == KINDS[kind].get("quick_replies", [])
    assert shown["conversation_starters"] == KINDS[kind].get("conversation_starters", [])


@OF_A_KIND
def test_an_answer_is_its_owners(kind: str) -> None:
    """Agents that all runs share, too."""
    agent = Agent(name="Solo", instructions="Reply.", model=Counting(), **KINDS[kind])
    asked = [{"input": "Yes", "owner": owner} for owner in ("one", "other", "one")]
    one, other, again = ask(lambda: Agency(agent), *asked)
    assert one == again != other
    assert agent._conversation_starters_cache == {}


@OF_A_KIND
@pytest.mark.parametrize(
    "fields",
    [
        {"store": False},
        {"instructions": "In Latvian."},
        {"temperature": 0.1},
        {"max_output_tokens": 1000},
        {"text": {"format": {"type": "json_object"}}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_who_asks_for_more_or_stores_nothing_asks_the_model(kind: str, fields: dict[str, Any]) -> None:
    asked = {"input": "Yes", **fields}
    ask(desk(kind), asked.copy(), asked.copy(), {"input": "Yes"}, {"input": "Yes"}, asked.copy())
    assert Counting.calls == 4


@OF_A_KIND
def test_it_is_answered_anew_when_the_agent_has_changed(kind: str) -> None:
    @function_tool
    def look_up() -> str:
        """Looks up."""
        return ""

    changing = [desk(kind), desk(kind, tools=[look_up])]
    first, second = ask(lambda: changing[min(Counting.calls, 1)](), {"input": "Yes"}, {"input": "Yes"})
    assert first != second


@OF_A_KIND
def test_the_service_answers_and_shows_them(
    kind: str, start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, as a conversation: what was answered without the model is remembered like any other turn."""
    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": create})
    create = desk(kind)
    service = start()
    (shown,) = service.get("/agencies")[1]["agencies"]
    assert shown["agents"][0]["quick_replies"] + shown["agents"][0]["conversation_starters"] == ["Yes", "No"]
    status, body = service.ask("Yes", agency="desk")
    assert (status, body["response"]) == (200, "offline model: answer 1")
    again = service.respond("Yes", model="desk")
    assert (again["output"][-1]["content"][0]["text"], again["usage"]["model_calls"]) == ("offline model: answer 1", 0)
    after = service.respond("And then?", model="desk", previous_response_id=again["id"])
    assert (after["status"], Counting.calls) == ("completed", 2)


def test_what_is_changed_in_the_framework_is_what_was_read() -> None:
    assert version("agency-swarm") == "1.11.0"
    conversation_starters.install()
    assert "_get_cache_dir()" in inspect.getsource(conversation_starters_cache._cache_path)
    assert "self._schedule_starter_cache_warmup()" in inspect.getsource(Agency.__init__)
