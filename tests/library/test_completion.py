"""POST /completion, GET /agencies, GET /health: what they answer, and what they answer when something is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import (
    Agency,
    Agent,
    GuardrailFunctionOutput,
    function_tool,
    input_guardrail,
    output_guardrail,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agency_lambda import __version__
from agency_lambda.catalogue.check import check
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.testing.events import http_event
from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelServer, call

Start = Callable[..., Service]


def use(monkeypatch: pytest.MonkeyPatch, create_agency: Callable[[], Agency]) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": create_agency})


@pytest.mark.parametrize("mode", ["patch", "strict"])
def test_the_three_agents_talk_and_use_their_tools(start: Start, mode: str, tmp_path: Path) -> None:
    service = start(mode)
    status, body = service.ask()
    assert status == 200
    assert set(body) == {"response", "run_id", "thread_id", "agency", "agent", "usage"}
    assert (body["agency"], body["agent"]) == ("letters", "Secretary")
    assert "[offline model]" in body["response"]
    assert "Dear Nordwind" in body["response"]
    tasks = [path.read_text() for path in (tmp_path / "letters").glob("*.json")]
    assert sum("Dear Nordwind" in text for text in tasks) == 1
    assert service.report.nested_entries == 0
    assert service.report.fields["model_calls"] == body["usage"]["model_calls"] >= 10


def test_a_real_client_of_a_model_server_plays_the_same_flow(start: Start) -> None:
    from letters.offline import SCRIPT

    from tests.library.model_server import scripts

    for api in ("responses", "chat"):
        with ModelServer(scripts(SCRIPT)) as server:
            service = start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url, MODEL_API=api)
            status, body = service.ask()
            assert status == 200
            assert "Dear Nordwind" in body["response"]
            assert body["usage"]["model_calls"] == len(server.requests)
            assert body["usage"]["input_tokens"] == server.tokens[0]
            assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-test"}
            service.handler.close()


def test_one_client_keeps_one_connection_over_many_invocations(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer(lambda request: "done") as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        for _ in range(5):
            assert service.ask("hello")[0] == 200
        assert len(server.requests) == 5
        assert server.connections == 1


def test_a_thread_continues(service: Service) -> None:
    first = service.ask(thread_id="nordwind")[1]
    second = service.ask("And when will the letter arrive?", thread_id="nordwind")[1]
    assert first["thread_id"] == second["thread_id"] == "nordwind"
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    other = service.ask("And when will the letter arrive?")[1]
    assert other["thread_id"] != "nordwind"
    assert other["usage"]["input_tokens"] < second["usage"]["input_tokens"]


def test_a_thread_name_is_one_agencys_own(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"one": one_agent(), "two": one_agent()})
    used = [service.ask("hello", agency=name, thread_id="same")[1]["usage"] for name in ("one", "two", "one")]
    assert used[0] == used[1] != used[2]  # the second knows nothing of the first


def test_one_agent_can_be_addressed(service: Service) -> None:
    status, body = service.ask("List the tasks.", agency="letters", agent="Registrar")
    assert (status, body["agent"]) == (200, "Registrar")


BAD = [
    ("not json", 400, "invalid_json", ""),
    ("", 422, "invalid_request", "body"),
    ("[1]", 422, "invalid_request", "body"),
    ({}, 422, "invalid_request", "message"),
    ({"message": ""}, 422, "invalid_request", "message"),
    ({"message": "  "}, 422, "invalid_request", "message"),
    ({"message": 5}, 422, "invalid_request", "message"),
    ({"message": None}, 422, "invalid_request", "message"),
    ('{"message": "\\ud800"}', 422, "invalid_request", "message"),
    ({"message": "x", "thread_id": "a/b"}, 422, "invalid_request", "thread_id"),
    ({"message": "x", "mesage": "y"}, 422, "invalid_request", "mesage"),
    ({"message": "x", **{f"k{number}": 1 for number in range(100)}}, 422, "invalid_request", "100 parameters"),
    ({"message": "x", "agent": ["y"]}, 422, "invalid_request", "agent"),
    ({"message": "x", "agency": "nobody"}, 404, "not_found", "nobody"),
    ({"message": "x", "agent": "Nobody"}, 404, "not_found", "Nobody"),
    ({"message": "x" * 5_000_001}, 413, "payload_too_large", "5,000,000"),
    ('{"message": ' + "[" * 100_000, 400, "invalid_request", "50,000"),
    ('{"message": ' + "[" * 100, 400, "invalid_request", "64"),
]


@pytest.mark.parametrize(("body", "status", "kind", "named"), BAD, ids=lambda value: str(value)[:30])
def test_bad_input_is_named(service: Service, body: Any, status: int, kind: str, named: str) -> None:
    got, answer = service.post("/completion", body)
    assert (got, answer["error"]["type"]) == (status, kind), answer
    assert named in answer["error"]["message"]
    assert set(answer["error"]) == {"type", "message", "request_id"}
    assert answer["error"]["request_id"] == "request-1"


def test_other_paths_and_methods(service: Service) -> None:
    assert service.get("/completion")[1]["error"]["type"] == "method_not_allowed"
    assert service.handler(http_event("GET", "/completion"), None)["headers"]["allow"] == "POST, OPTIONS"
    assert service.get("/nothing")[0] == 404
    assert service.get("/health") == (200, {"status": "ok", "version": __version__})


def test_a_body_without_a_content_type_is_refused_clearly(service: Service) -> None:
    event = http_event("POST", "/completion", "message=hello")
    event["headers"]["content-type"] = "application/x-www-form-urlencoded"
    status, body = service.send(event)
    assert status == 400
    assert "application/json" in body["error"]["message"]


def test_the_listing_names_and_never_tells(service: Service) -> None:
    status, body = service.get("/agencies")
    assert status == 200
    desk, _ = body["agencies"]
    assert desk["name"] == "letters"
    assert desk["entry_points"] == ["Secretary"]
    assert {"from": "Writer", "to": "Registrar"} in desk["flows"]
    tools = {agent["name"]: agent["tools"] for agent in desk["agents"]}
    assert tools["Registrar"] == ["add_comment", "create_task", "get_task", "list_tasks", "update_task"]
    assert "You are" not in json.dumps(body)


SECRET = "sk-live-1234 organisation org-77"


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        (401, (502, "model_unauthorized")),
        (429, (429, "rate_limited")),
        (500, (502, "upstream_failed")),
        (0, (502, "upstream_failed")),
    ],
)
def test_a_model_that_fails_is_told_without_its_text(start: Start, status: int, answered: tuple[int, str]) -> None:
    body = json.dumps({"error": {"message": SECRET, "type": "x"}})
    with ModelServer(lambda request: Failure(status, body)) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        got, answer = service.ask()
    assert (got, answer["error"]["type"]) == answered
    assert "sk-live" not in json.dumps(answer)
    assert "org-77" not in json.dumps(answer)


def test_a_proxy_page_instead_of_a_model_is_a_502(start: Start) -> None:
    with ModelServer(lambda request: Failure(200, "<html>login</html>", {"content-type": "text/html"})) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        assert service.ask()[0] == 502


def test_a_failed_sub_agent_tells_no_upstream_text(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def agency() -> Agency:
        boss = Agent(name="Boss", instructions="Boss", model="boss")
        helper = Agent(name="Helper", instructions="Helper", model="helper")
        return Agency(boss, communication_flows=[(boss, helper)])

    use(monkeypatch, agency)

    def answer(request: Any) -> Any:
        if request.body["model"] == "helper":
            return Failure(500, json.dumps({"error": {"message": SECRET}}))
        outputs = [item["output"] for item in request.items if item.get("type") == "function_call_output"]
        return (
            outputs[-1]
            if outputs
            else call("send_message", recipient_agent="Helper", message="?", additional_instructions="")
        )

    with ModelServer(answer) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        _, body = service.ask()
    assert "sk-live" not in json.dumps(body)


def test_an_output_guardrail_is_the_agencys_word_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    @output_guardrail
    def never(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="no", tripwire_triggered=True)

    use(monkeypatch, lambda: Agency(Agent(name="One", instructions="One", output_guardrails=[never])))
    status, body = service.ask()
    assert (status, body["error"]["type"]) == (422, "guardrail_triggered")


def test_a_defect_in_an_agency_is_a_500_without_its_text(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Agency:
        raise ValueError(SECRET)

    use(monkeypatch, broken)
    status, body = service.ask()
    assert (status, body["error"]["type"]) == (500, "agency_misconfigured")
    assert SECRET not in json.dumps(body)


@pytest.mark.parametrize("kind", ["load", "save"])
def test_asynchronous_thread_callbacks_are_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async def callback(*args: Any) -> list[Any]:
        return []

    def agency() -> Agency:
        callbacks: dict[str, Any] = {
            "load_threads_callback": list,
            "save_threads_callback": lambda messages: None,
            f"{kind}_threads_callback": callback,
        }
        return Agency(Agent(name="One", instructions="One"), **callbacks)

    use(monkeypatch, agency)
    with pytest.warns(RuntimeWarning, match="never awaited") if kind == "load" else nothing():
        status, body = service.ask()
    assert status == 500
    assert f"{kind}_threads_callback is `async def`" in body["error"]["message"]


def nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_a_guardrail_that_raises_is_the_callers_business(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    @input_guardrail
    def never(context: Any, agent: Any, message: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="no", tripwire_triggered=True)

    def agency() -> Agency:
        agent = Agent(name="One", instructions="One", input_guardrails=[never], raise_input_guardrail_error=True)
        return Agency(agent)

    use(monkeypatch, agency)
    status, body = service.ask()
    assert (status, body["error"]["type"]) == (422, "guardrail_triggered")


def test_a_history_that_cannot_be_read_fails_the_run(service: Service, tmp_path: Path) -> None:
    service.ask(thread_id="nordwind")
    for file in tmp_path.glob("agency.db*"):  # what was written lately lies beside it
        file.write_bytes(b"this is no database, and long enough to be recognised as none" * 100)
    status, body = service.ask(thread_id="nordwind")
    assert (status, body["error"]["type"]) == (503, "store_unavailable")


def test_two_requests_share_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Agency] = []
    from letters.agency import create_agency

    use(monkeypatch, lambda: made.append(create_agency()) or made[-1])  # type: ignore[func-returns-value]
    service.ask("one")
    service.ask("two")
    assert made[0] is not made[1]
    assert not {id(a) for a in made[0].agents.values()} & {id(a) for a in made[1].agents.values()}


def test_legacy_code_in_a_tool_is_counted_and_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    def agency() -> Agency:
        @function_tool
        async def legacy() -> str:
            """Legacy."""
            return asyncio.run(asyncio.sleep(0, "done"))

        return Agency(Agent(name="One", instructions="One", tools=[legacy]))

    use(monkeypatch, agency)
    service = start("patch")
    assert service.ask()[0] == 200
    assert service.report.nested_entries == 1
    strict = start("strict")
    status, body = strict.ask()
    assert (status, body["error"]["type"]) == (500, "event_loop_conflict")
    assert "asyncio.run() at tests/library/test_completion.py" in body["error"]["message"]


def test_health_imports_no_agency() -> None:
    script = """
import sys
from lambda_loop import EnvironmentLoop
from handler.app import app
from agency_lambda.testing.events import Context, http_event
assert EnvironmentLoop(app)(http_event(path="/health"), Context())["statusCode"] == 200
print([name for name in sys.modules if name.split(".")[0] in ("agencies", "agency_swarm", "agents")])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def one_agent(**options: Any) -> Callable[[], Agency]:
    return lambda: Agency(Agent(name="One", instructions="One", model="one", **options))


def test_a_model_that_calls_for_ever_is_stopped(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    @function_tool
    def again() -> str:
        """Again."""
        return "again"

    use(monkeypatch, one_agent(tools=[again]))
    with ModelServer(lambda request: call("again")) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        status, body = service.ask()
        assert len(server.requests) == 50
    assert (status, body["error"]["type"]) == (400, "run_limit_exceeded")


def test_a_model_that_fails_at_the_limit_has_failed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    @function_tool
    def again() -> str:
        """Again."""
        return "again"

    use(monkeypatch, one_agent(tools=[again]))
    answers = [call("again")] * 49 + [Failure(500)]
    with ModelServer(answers) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        assert service.ask()[1]["error"]["type"] == "upstream_failed"
        assert len(server.requests) == 50


def test_with_a_real_model_nobody_looks_for_the_offline_script(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.framework.prepare.agency_script", None)
    with ModelServer(["done"]) as server:
        assert start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url).ask()[0] == 200


class Shape(BaseModel):
    name: str
    size: int


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("answer", ["no JSON", '{"name": 1}'])
def test_a_model_that_misbehaves_is_a_502(start: Start, monkeypatch: pytest.MonkeyPatch, api: str, answer: Any) -> None:
    use(monkeypatch, one_agent(output_type=Shape))
    with ModelServer(lambda request: answer) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, MODEL_API=api)
        status, body = service.ask()
    assert (status, body["error"]["type"]) == (502, "invalid_output")


@pytest.mark.parametrize(
    ("kind", "answer", "response"),
    [
        (Shape, '{"name": "x", "size": 2}', '{"name":"x","size":2}'),
        (list[str], '{"response": ["a", "b\'c"]}', '["a","b\'c"]'),
        (int, '{"response": 0}', "0"),
        (bool, '{"response": false}', "false"),
        (str, "", ""),
    ],
)
def test_a_typed_output_is_json(
    start: Start, monkeypatch: pytest.MonkeyPatch, kind: Any, answer: str, response: str
) -> None:
    use(monkeypatch, one_agent(output_type=kind))
    with ModelServer(lambda request: answer) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        status, body = service.ask()
    assert status == 200
    assert body["response"] == response


def test_half_a_surrogate_from_a_model_does_not_end_a_conversation(start: Start) -> None:
    with ModelServer(lambda request: "\ud83d cut") as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        for _ in range(2):
            status, body = service.ask("hello", thread_id="emoji")
            assert status == 200
            assert body["response"].endswith(" cut")


def test_a_factory_may_return_one_agency_for_all(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = one_agent()()
    use(monkeypatch, lambda: whole)
    first, second = (service.ask(f"I am {name}", thread_id=name)[1]["response"] for name in ("anna", "otto"))
    assert "anna" in first
    assert "anna" not in second
    assert whole.thread_manager.get_all_messages() == []


def failing() -> Agency:
    raise ValueError("no database")


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (lambda: None, "returned NoneType"),
        (lambda: Agency(Agent(name="One", instructions="./missing.md")), "instructions file of One"),
        (failing, "ValueError: no database"),
    ],
)
def test_the_start_names_what_cannot_run(monkeypatch: pytest.MonkeyPatch, factory: Any, said: str) -> None:
    use(monkeypatch, factory)
    with pytest.raises(AgencyMisconfigured, match="agency 'letters'") as caught:
        check()
    assert said in str(caught.value)


def test_a_trailing_slash_is_a_404_in_the_one_shape(service: Service) -> None:
    assert service.post("/completion/", {"message": "x"})[1]["error"]["type"] == "not_found"


def test_an_endless_content_length_is_no_500(service: Service) -> None:
    event = http_event("POST", "/completion", {"message": "x", "agency": "nobody"})
    event["headers"]["content-length"] = "9" * 5000
    assert service.send(event)[0] == 404


def test_a_request_cut_off_in_its_body_is_not_run(service: Service) -> None:
    messages = [{"type": "http.request", "body": b'{"message": "x"}', "more_body": True}, {"type": "http.disconnect"}]
    scope = {"type": "http", "method": "POST", "path": "/completion", "query_string": b"", "headers": []}

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    service.handler.run(service.handler.asgi(scope, receive, send))
    assert "model_calls" not in service.report.fields


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=8,
        ).map(json.dumps),
        st.fixed_dictionaries(
            {"message": st.text(min_size=1, max_size=60)},
            optional={
                "agency": st.text(max_size=10) | st.integers(),
                "agent": st.sampled_from(["Registrar", "Writer"]) | st.text(max_size=10),
                "thread_id": st.text(max_size=10) | st.none(),
            },
        ).map(json.dumps),
    )
)
def test_nothing_is_a_500(service: Service, body: str) -> None:
    status, answer = service.post("/completion", body)
    assert status < 500, (body, answer)
    assert "response" in answer or set(answer["error"]) == {"type", "message", "request_id"}
