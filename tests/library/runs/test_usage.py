"""Usage: what a run has paid for is counted once, in whichever attempt that was."""

import asyncio
import tempfile
from collections import Counter
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda import telemetry
from agency_lambda.framework.models import selection
from tests.library.history.test_sorted_failures import failing, worked
from tests.library.model_server import ModelServer, call
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage
from tests.library.runs.test_identity import send


def agency() -> Agency:
    @function_tool
    async def look_up() -> str:
        """Looks something up."""
        return "found"

    return Agency(Agent(name="One", instructions="One", model="one", tools=[look_up]))


@pytest.mark.parametrize("stream", [False, True])
def test_replayed_calls_are_not_paid_again(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_RETRIES", 0)
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "log_run", lines.append)
    answers = [call("look_up"), failing(503), call("look_up"), failing(503), "Done."]

    async def whole(url: str, folder: str) -> Any:
        async with on_stage(agency, settings(url, store=f"sqlite:///{folder}/agency.db")) as runs:
            return await worked(runs, stream)

    with tempfile.TemporaryDirectory() as folder, ModelServer(answers) as server:
        attempts, response, _ = asyncio.run(asyncio.wait_for(whole(server.base_url, folder), 30))
        asked, tokens = len(server.requests), server.tokens
    usage = response["usage"]
    assert (attempts, usage["model_calls"]) == (3, 3)  # those that failed are nobody's
    assert (usage["input_tokens"], usage["output_tokens"]) == tokens
    paid: Counter[str] = Counter()
    for line in lines:
        paid.update({name: line[name] for name in ("model_calls", "tool_calls", "input_tokens", "output_tokens")})
    assert [line["journal_hits"] for line in lines] == [0, 2, 4]
    assert paid == {
        "model_calls": asked,
        "tool_calls": 2,
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
    }


def test_index_has_what_each_model_was_paid_for_in_all_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_RETRIES", 0)

    def two_models() -> Agency:
        boss, ann = (Agent(name=name, instructions=name, model=f"model-{name}") for name in ("Boss", "Ann"))
        return Agency(boss, communication_flows=[boss > ann])

    async def whole(url: str, folder: str) -> Any:
        async with on_stage(two_models, settings(url, store=f"sqlite:///{folder}/agency.db")) as runs:
            _, response, _ = await worked(runs, stream=False)
            (entry,) = await runs.store.query("owner/runs")
            return response["usage"], entry.body

    with tempfile.TemporaryDirectory() as folder, ModelServer([send("Ann"), "Yes.", failing(503), "Done."]) as server:
        usage, entry = asyncio.run(asyncio.wait_for(whole(server.base_url, folder), 30))
    by_model = entry["by_model"]
    assert {model: counts["model_calls"] for model, counts in by_model.items()} == {"model-Boss": 2, "model-Ann": 1}
    for name in ("input_tokens", "output_tokens"):
        assert sum(counts[name] for counts in by_model.values()) == usage[name]
    assert (entry["attempts"], usage["model_calls"], usage["replayed_calls"]) == (2, 3, 2)
