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
