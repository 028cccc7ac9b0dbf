"""What is JSON and no answer is the model's failure, which may pass: not a defect of the service."""

import json
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda.framework.models import selection
from tests.library.model_server import Failure, ModelServer
from tests.library.models.agencies import settings
from tests.library.runs.stage import play

MESSAGE = {"type": "message", "role": "assistant", "id": "m", "status": "completed"}
CALL = {"type": "function_call", "id": "f", "call_id": "c", "name": "act", "arguments": "{}"}
WORDS = [{"type": "output_text", "text": "hi", "annotations": []}]
OUTPUTS: dict[str, Any] = {
    "no type": [{"id": "x"}],
    "an unknown type": [{"type": "zzz", "id": "x"}],
    "a type that is none": [{"type": 7, "id": "x"}],
    "a message without content": [MESSAGE],
    "content null": [MESSAGE | {"content": None}],
    "content that is a text": [MESSAGE | {"content": "hi"}],
    "a call without a name": [{name: value for name, value in CALL.items() if name != "name"}],
    "a name that is none": [CALL | {"name": 7}],
    "arguments that are no text": [CALL | {"arguments": {}}],
    "words, and a call without a name": [MESSAGE | {"content": WORDS}, CALL | {"name": None}],
    "null": None,
    "an object": {},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_answer_that_is_none_is_the_models_failure(name: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_RETRIES", 0)
    acts = []

    @function_tool
    async def act() -> str:
        """Acts."""
        acts.append(1)
        return "acted"

    answer = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": OUTPUTS[name]}
    event = {"type": "response.completed", "sequence_number": 0, "response": answer}
    whole = Failure(200, json.dumps(answer), {"Content-Type": "application/json"})
    streamed = Failure(200, f"data: {json.dumps(event)}\n\n", {"Content-Type": "text/event-stream"})
    agent = Agent(name="Solo", instructions=".", model="one", tools=[act])
    with ModelServer(lambda request: streamed if stream else whole) as server:
        told = play(lambda: Agency(agent), settings(server.base_url), stream=stream)
    assert (told.response["error"]["detail_code"], acts) == ("upstream_failed", [])
