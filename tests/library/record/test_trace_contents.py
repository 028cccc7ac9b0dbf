"""Operators see every word of a run, callers of their own runs none."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import Agent as SdkAgent
from agents import Runner

import agencies
from tests.library.conftest import Service
from tests.library.model_server import ModelServer

ANN, EVE = ({"authorization": f"Bearer al_{name}"} for name in ("ann", "eve"))
KEYS = ",".join(
    f"{name}:{hashlib.sha256(f'al_{name}'.encode()).hexdigest()}{role}"
    for name, role in {"ann": "", "eve": ":operator"}.items()
)
PROMPTS = ["secret-boss-prompt", "secret-ann-prompt", "secret-judge-prompt"]
WORDS = [
    *("secret-message", "secret-argument", "secret-output", "secret-answer", "secret-question", "secret-verdict"),
    "secret-nested",
]


def desk() -> Agency:
    @function_tool
    async def look_up(what: str) -> str:
        """Looks something up."""
        judge = SdkAgent(name="Judge", instructions="Judge secret-judge-prompt", model="gpt-5-mini")
        await Runner.run(judge, "secret-nested")
        return "secret-output"

    boss = Agent(name="Boss", instructions="Boss secret-boss-prompt", model="gpt-5")
    ann = Agent(name="Ann", instructions="Ann secret-ann-prompt", model="gpt-5", tools=[look_up])
    return Agency(boss, communication_flows=[boss > ann])


def answer(request: Any) -> Any:
    if "Judge" in request.instructions:
        return "secret-verdict"
    if "Ann secret" in request.instructions:
        return "secret-answer" if len(request.items) > 1 else [("look_up", {"what": "secret-argument"})]
    sent = {"recipient_agent": "Ann", "message": "secret-message", "additional_instructions": ""}
    return "Done." if len(request.items) > 1 else [("send_message", sent)]


@pytest.fixture
def asked(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Any:
    """asked(settings) -> (service, path of the run's trace under /v1/)"""
    monkeypatch.setattr("agencies.AGENCIES", {**agencies.AGENCIES, "desk": desk})
    with ModelServer(answer) as server:

        def ask(**more: str) -> tuple[Service, str]:
            service = start(API_KEYS=KEYS, OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=server.base_url, **more)
            status, response = service.post("/v1/responses", {"model": "desk", "input": "secret-question"}, **ANN)
            assert (status, response["status"]) == (200, "completed")
            return service, f"responses/{response['id']}/trace"

        yield ask


def test_callers_see_no_word_and_operators_all(asked: Any) -> None:
    service, path = asked()
    status, caller = service.get(f"/v1/{path}", **ANN)
    assert (status, "secret" in json.dumps(caller)) == (200, False)
    assert service.get(f"/v1/{path}", **EVE)[0] == 404
    assert service.get(f"/v1/admin/{path}", **ANN)[0] == 403
    status, operator = service.get(f"/v1/admin/{path}", **EVE)
    assert (status, operator["owner"]) == (200, "ann")
    seen = json.dumps(operator)
    assert [secret for secret in (*PROMPTS, *WORDS) if secret not in seen] == []
    assert without_contents(operator["root"]) == caller["root"]
    assert (caller["attempts"], caller["usd"]) == (1, pytest.approx(paid(caller["root"]), abs=1e-9))
    assert caller["usd"] > 0


def test_trace_content_0_shows_none_and_keeps_no_prompt(asked: Any) -> None:
    service, path = asked(TRACE_CONTENT="0")
    _, operator = service.get(f"/v1/admin/{path}", **EVE)
    assert "secret" not in json.dumps(operator)
    from agency_lambda.run_service import get_run_service

    partition = f"ann/response/{path.split('/')[1]}"
    rows = service.handler.run(get_run_service().store.query(partition, after="journal/", before="journal0"))
    stored = json.dumps([row.body for row in rows])
    assert [secret for secret in (*PROMPTS, "secret-nested") if secret in stored] == []


def test_contents_that_no_answer_holds_are_left_out(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service, path = asked()
    monkeypatch.setattr("agency_lambda.protocol.bounds.ANSWER", 5_000)
    status, operator = service.get(f"/v1/admin/{path}", **EVE)
    assert (status, operator["contents"], "secret" in json.dumps(operator)) == (200, "too_large", False)


def paid(node: dict[str, Any]) -> float:
    own = node["usd"] if node["type"] == "model_call" else 0.0
    return own + sum(map(paid, node["children"]))


def without_contents(node: dict[str, Any]) -> dict[str, Any]:
    contents = {"instructions_digest", "instructions", "input", "output", "arguments", "call_id"}
    kept = {name: value for name, value in node.items() if name not in contents}
    return kept | {"children": [without_contents(child) for child in node["children"]]}


def test_only_inputs_that_no_other_row_holds_are_stored(asked: Any) -> None:
    service, path = asked()
    from agency_lambda.run_service import get_run_service

    partition = f"ann/response/{path.split('/')[1]}"
    rows = service.handler.run(
        get_run_service().store.query(partition, after="journal/model/", before="journal/model0")
    )
    assert [(row.body["agent"], row.body["input"]) for row in rows if "input" in row.body] == [
        ("Judge", [{"content": "secret-nested", "role": "user"}])
    ]
    prompts = [row.body["agent"] for row in rows if "instructions" in row.body]
    assert sorted(prompts) == ["Ann", "Boss", "Judge"]  # once each, though Ann and Boss were asked twice
