"""How a chat's stream ends: only a stream that says so is an answer, whose calls are made.

Of an OpenAI-compatible server: from OpenAI itself, openai-agents 0.24 takes no `[DONE]` without a `finish_reason`.
"""

import json
from typing import Any

import httpx
import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import OpenAIChatCompletionsModel
from openai import AsyncOpenAI

from tests.library.runs.stage import Told, play

TEXT = {"role": "assistant", "content": "Pay 1"}
CALL = {"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "act", "arguments": "{}"}}]}
DONE = "data: [DONE]\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'c', 'created': 0, 'model': 'm', 'choices': [choice]})}\n\n"


def played(body: str) -> tuple[Told, int]:
    """(what a client is told, how often the tool has acted) of a chat whose every answer is this stream."""
    acts = []

    @function_tool
    async def act() -> str:
        """Acts."""
        acts.append(1)
        return "acted"

    def answer(request: httpx.Request) -> httpx.Response:
        text = body if not acts else chunk(TEXT, "stop")
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)

    transport = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    model = OpenAIChatCompletionsModel(
        "m", AsyncOpenAI(api_key="x", base_url="http://compatible.test/v1", http_client=transport, max_retries=0)
    )
    return play(lambda: Agency(Agent(name="Solo", instructions=".", model=model, tools=[act]))), len(acts)


@pytest.mark.parametrize("delta", [TEXT, CALL], ids=["text", "call"])
@pytest.mark.parametrize("end", ["", chunk({}), chunk({}, "error"), chunk({}, "error") + DONE])
def test_a_stream_without_an_end_is_no_answer(delta: dict[str, Any], end: str) -> None:
    told, acts = played(chunk(delta) + end)
    assert (told.response["status"], told.response["error"]["detail_code"], acts) == ("failed", "upstream_failed", 0)


@pytest.mark.parametrize("delta", [TEXT, CALL], ids=["text", "call"])
@pytest.mark.parametrize("end", [DONE, chunk({}, "stop"), chunk({}, "tool_calls"), chunk({}, "end") + DONE])
def test_either_word_is_an_end(delta: dict[str, Any], end: str) -> None:
    told, acts = played(chunk(delta) + end)
    assert (told.response["status"], told.words, acts) == ("completed", ["Pay 1"], int(delta is CALL))
