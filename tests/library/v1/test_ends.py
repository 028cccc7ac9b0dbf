"""What a client is told at the end of a run is what the store says, and stays so."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, BaseTool, function_tool

from agency_lambda.runs.leases import Leases
from agency_lambda.store import ABSENT, StoreUnavailable
from agency_lambda.store.sqlite import SQLiteStore
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service
from tests.library.model_server import ModelServer, call

Start = Callable[..., Service]
ASK = {"model": "letters", "input": "x"}
ENDS = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    BaseExceptionGroup("several", [SystemExit(1), ValueError()]),
]


def breaking(error: BaseException, spoken: bool) -> Callable[[], Agency]:
    """An agency with two tools that raise: one on the loop, one on a thread. spoken: the model is told of failures."""

    def agency() -> Agency:
        @function_tool(**({} if spoken else {"failure_error_function": None}))
        async def on_loop() -> str:
            """Raises."""
            raise error

        class OnThread(BaseTool):
            """Raises."""

            def run(self) -> str:
                raise error

        return Agency(Agent(name="One", instructions="One", model="one", tools=[on_loop, OnThread]))

    return agency


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("tool", ["on_loop", "OnThread"])
@pytest.mark.parametrize("spoken", [True, False])
def test_tool_that_would_end_the_process_has_failed_as_others_do(
    start: Start, monkeypatch: pytest.MonkeyPatch, error: BaseException, tool: str, spoken: bool
) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": breaking(error, spoken)})
    play = lambda request: "Told." if "output" in request.items[-1] else call(tool)  # noqa: E731
    with ModelServer(play) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        made = json.loads(
            service.handler(http_event("POST", "/v1/responses", {**ASK, "stream": True}), Context(60))["body"].split(
                "data: "
            )[-2]
        )
        whole = service.post("/v1/responses", ASK)
        from agency_lambda.run_service import get_run_service

        assert service.handler.run(Leases(get_run_service().store).all()) == []
    last = made["response"]
    assert service.get(f"/v1/responses/{last['id']}") == (200, last)
    closes = isinstance(error, GeneratorExit) and tool == "OnThread"  # thrown in, it closes coroutines on its way
    if (spoken or tool == "OnThread") and not closes:  # a thread's failures are always told to the model
        assert (last["status"], whole[0], whole[1].get("status")) == ("completed", 200, "completed")
    else:
        assert (last["status"], whole[0], last["error"]["detail_code"]) == ("failed", 500, "internal_error")


def first_write(monkeypatch: pytest.MonkeyPatch, takes_effect: bool, store_is_back: bool) -> None:
    """The first write of a run fails; then the store is back, or away for good."""
    write, failed = SQLiteStore.write, list[int]()

    async def failing(self: SQLiteStore, *changes: Any) -> None:
        begins = any(change.sort == "response" and getattr(change, "body", None) for change in changes)
        if begins and not failed:
            failed.append(1)
            if takes_effect:
                await write(self, *changes)
            raise StoreUnavailable("The store could not be written.")
        if failed and not store_is_back:
            raise StoreUnavailable("The store could not be written.")
        await write(self, *changes)

    monkeypatch.setattr(SQLiteStore, "write", failing)


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}], ids=str)
def test_run_whose_first_write_failed_has_not_begun(
    service: Service, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    first_write(monkeypatch, takes_effect=False, store_is_back=True)
    answer = service.handler(http_event("POST", "/v1/responses", {**ASK, **more}), Context(60))
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (503, "store_unavailable")
    assert int(answer["headers"]["retry-after"]) > 0
    assert "x-should-retry" not in answer["headers"]
    from agency_lambda.run_service import get_run_service

    assert service.handler.run(Leases(get_run_service().store).all()) == []
    assert "model_calls" not in service.report.fields


def test_first_write_that_comes_late_is_void(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was given up, and arrives after the client was told that nothing has begun."""
    late: list[Any] = []
    write = SQLiteStore.write

    async def slow(self: SQLiteStore, *changes: Any) -> None:
        if any(change.sort == "response" and getattr(change, "body", None) for change in changes) and not late:
            late.extend(changes)
            raise StoreUnavailable("The store could not be written.")
        await write(self, *changes)

    monkeypatch.setattr(SQLiteStore, "write", slow)
    assert service.post("/v1/responses", ASK)[0] == 503
    from agency_lambda.run_service import get_run_service
    from agency_lambda.store import Conflict

    assert late[0].expected == ABSENT
    with pytest.raises(Conflict):
        service.handler.run(get_run_service().store.write(*late))


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"background": True}], ids=str)
def test_run_whose_first_write_has_taken_effect_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    first_write(monkeypatch, takes_effect=True, store_is_back=True)
    answer = service.handler(http_event("POST", "/v1/responses", {**ASK, **more}), Context(3 if more else 60))
    assert answer["statusCode"] == 200
    assert ("queued" if "background" in more else "completed") in answer["body"]


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize("more", [{}, {"background": True}], ids=str)
def test_run_that_nobody_knows_of_for_certain_is_a_202(
    service: Service, monkeypatch: pytest.MonkeyPatch, takes_effect: bool, more: dict[str, Any]
) -> None:
    with monkeypatch.context() as away:
        first_write(away, takes_effect, store_is_back=False)
        answer = service.handler(http_event("POST", "/v1/responses", {**ASK, **more}), Context(60))
    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["status"] in ("queued", "in_progress"), told["error"]) == (202, True, None)
    assert answer["headers"]["location"] == f"/v1/responses/{told['id']}"
    assert "model_calls" not in service.report.fields or service.report.fields["model_calls"] == 0
    assert service.get(f"/v1/responses/{told['id']}")[0] == (200 if takes_effect else 404)


@pytest.mark.parametrize("path", ["/v1/responses", "/completion"])
def test_run_that_blocks_the_loop_until_the_deadline_is_a_202(
    start: Start, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def agency() -> Agency:
        @function_tool
        async def block() -> str:
            """Blocks the loop."""
            end = time.monotonic() + 20
            while time.monotonic() < end:
                time.sleep(0.01)  # noqa: ASYNC251 - that is the fault
            return "late"

        return Agency(Agent(name="One", instructions="One", model="one", tools=[block]))

    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    with ModelServer([call("block")]) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        answer = service.handler(http_event("POST", path, ASK if "v1" in path else {"message": "x"}), Context(2))
    told = json.loads(answer["body"])
    made = told["id" if "v1" in path else "run_id"]
    assert (answer["statusCode"], told["status"]) == (202, "in_progress")
    assert answer["headers"]["location"] == f"/v1/responses/{made}"


@pytest.mark.parametrize("stream", [False, True])
def test_conflict_that_other_code_hides_ends_the_run_as_the_client_is_told(
    start: Start, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """In strict mode: the framework makes a text of the conflict, and the model goes on."""

    def agency() -> Agency:
        @function_tool
        async def nest() -> str:
            """Enters the running loop."""
            asyncio.run(asyncio.sleep(0))
            return "nested"

        return Agency(Agent(name="One", instructions="One", model="one", tools=[nest]))

    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    play = lambda request: "Told." if "output" in request.items[-1] else call("nest")  # noqa: E731
    with ModelServer(play) as server:
        service = start("strict", OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        status, told = service.post("/v1/responses", {**ASK, "stream": stream})
        assert (status, told["error"]["code"]) == (500, "event_loop_conflict")
        made = service.report.fields["response_id"]
        assert [each for each in service.report.conflicts if each.hidden]
    _, kept = service.get(f"/v1/responses/{made}")
    assert (kept["status"], kept["error"]["detail_code"]) == ("failed", "event_loop_conflict")
    assert kept["error"]["message"] == told["error"]["message"]
