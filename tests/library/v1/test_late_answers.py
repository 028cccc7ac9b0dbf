"""A request that ends before its run does never tells of a failure: whatever is slow, and however it is asked."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda.auth.localhost import LOCAL
from agency_lambda.history.conversations import Conversations
from agency_lambda.runs.leases import Leases
from agency_lambda.store import StoreUnavailable
from agency_lambda.store.sqlite import SQLiteStore
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelServer, call

Start = Callable[..., Service]
Patch = pytest.MonkeyPatch
ASKS: list[dict[str, Any]] = [{}, {"background": True}, {"stream": True}, {"background": True, "stream": True}]
SECONDS = 1.5  # of an invocation


def _hang_first_write(patch: Patch, takes_effect: bool) -> None:
    write, hung = SQLiteStore.write, list[int]()

    async def hanging(self: SQLiteStore, *changes: Any) -> None:
        if not hung:
            hung.append(1)
            if takes_effect:
                await write(self, *changes)
            await asyncio.sleep(30)
        await write(self, *changes)

    patch.setattr(SQLiteStore, "write", hanging)


def first_write_takes_effect_and_hangs(patch: Patch) -> None:
    _hang_first_write(patch, takes_effect=True)


def first_write_hangs(patch: Patch) -> None:
    _hang_first_write(patch, takes_effect=False)


def every_write_takes_effect_and_hangs(patch: Patch) -> None:
    write = SQLiteStore.write

    async def hanging(self: SQLiteStore, *changes: Any) -> None:
        await write(self, *changes)
        await asyncio.sleep(30)

    patch.setattr(SQLiteStore, "write", hanging)


def queue_hangs(patch: Patch) -> None:
    async def hanging(*arguments: Any, owner: str) -> None:
        await asyncio.sleep(30)

    patch.setattr("agency_lambda.queue.local.LocalQueue.send", hanging)


def queue_fails(patch: Patch) -> None:
    async def failing(*arguments: Any, owner: str) -> None:
        raise OSError("no queue")

    patch.setattr("agency_lambda.queue.local.LocalQueue.send", failing)


def reads_fail_after_the_first_write(patch: Patch) -> None:
    write, get, written = SQLiteStore.write, SQLiteStore.get, list[int]()

    async def noted(self: SQLiteStore, *changes: Any) -> None:
        await write(self, *changes)
        written.append(1)

    async def failing(self: SQLiteStore, partition: str, sort: str) -> Any:
        if written and sort == "response":
            raise StoreUnavailable("The store could not be read.")
        return await get(self, partition, sort)

    patch.setattr(SQLiteStore, "write", noted)
    patch.setattr(SQLiteStore, "get", failing)


def tool_blocks_the_loop(patch: Patch) -> None:
    def block() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.01)

    patch.setattr("tests.library.v1.test_late_answers.act", block)


FAULTS = [
    first_write_takes_effect_and_hangs,
    first_write_hangs,
    every_write_takes_effect_and_hangs,
    queue_hangs,
    queue_fails,
    reads_fail_after_the_first_write,
    tool_blocks_the_loop,
]


def act() -> None:
    """What the tool does."""


def agency() -> Agency:
    @function_tool
    async def tool() -> str:
        """Acts."""
        act()
        return "acted"

    return Agency(Agent(name="One", instructions="One", model="one", tools=[tool]))


def played(request: Any) -> Any:
    return "Done." if "output" in request.items[-1] else call("tool")


@pytest.fixture
def desk(start: Start, monkeypatch: Patch) -> Any:
    monkeypatch.setattr("agencies.AGENCIES", {"desk": agency})
    with ModelServer(played) as server:
        yield start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, QUEUE="local")


def leases(service: Service) -> list[Any]:
    from agency_lambda.run_service import get_run_service

    return service.handler.run(Leases(get_run_service().store).all())  # type: ignore[no-any-return]


@pytest.mark.parametrize("more", ASKS, ids=lambda more: "+".join(more) or "whole")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_failure_is_told_only_where_nothing_goes_on(
    desk: Service, monkeypatch: Patch, fault: Callable[[Patch], None], more: dict[str, Any]
) -> None:
    with monkeypatch.context() as patch:
        fault(patch)
        answer = desk.handler(
            http_event("POST", "/v1/responses", {"model": "desk", "input": "x", **more}), Context(SECONDS)
        )
    status, goes_on = answer["statusCode"], leases(desk)
    if status >= 400:
        assert (status, json.loads(answer["body"])["error"]["code"]) == (503, "store_unavailable")
        assert goes_on == []
    elif status == 202:
        told = json.loads(answer["body"])
        assert answer["headers"]["location"] == f"/v1/responses/{told['id']}"
        assert [lease.id for lease in goes_on] == [told["id"]]
    else:
        assert not goes_on or goes_on[0].id in answer["body"]
        assert '"failed"' not in answer["body"]


@pytest.mark.parametrize("hangs", [False, True])
def test_repeated_key_is_told_where_to_look_when_the_store_cannot_be_read(
    desk: Service, monkeypatch: Patch, hangs: bool
) -> None:
    ask = {"model": "desk", "input": "x"}
    _, made = desk.post("/v1/responses", ask, **{"idempotency-key": "k"})
    get = SQLiteStore.get

    async def failing(self: SQLiteStore, partition: str, sort: str) -> Any:
        if sort == "response":
            await asyncio.sleep(30 if hangs else 0)
            raise StoreUnavailable("The store could not be read.")
        return await get(self, partition, sort)

    monkeypatch.setattr(SQLiteStore, "get", failing)
    status, told = desk.post("/v1/responses", ask, SECONDS, **{"idempotency-key": "k"})
    assert (status, told["id"], told["error"]) == (202, made["id"], None)


@pytest.mark.parametrize("end", ["completes", "fails", "is cancelled"])
def test_run_whose_conversation_was_deleted_ends_as_the_client_is_told(
    start: Start, monkeypatch: Patch, end: str
) -> None:
    ids = list[str]()

    def deleting() -> Agency:
        @function_tool
        async def tool() -> str:
            """Acts."""
            from agency_lambda.run_service import get_run_service

            await Conversations(get_run_service().store, LOCAL).delete(ids[0])
            if end == "is cancelled":
                await Leases(get_run_service().store).cancel((await Leases(get_run_service().store).all())[0].id)
                await asyncio.sleep(30)
            return "acted"

        return Agency(Agent(name="One", instructions="One", model="one", tools=[tool]))

    def play(request: Any) -> Any:
        if "output" not in request.items[-1]:
            return call("tool")
        return Failure(401) if end == "fails" else "Done."

    monkeypatch.setattr("agencies.AGENCIES", {"desk": deleting})
    with ModelServer(play) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        ids.append(service.post("/v1/conversations", {})[1]["id"])
        status, told = service.post("/v1/responses", {"model": "desk", "input": "x", "conversation": ids[0]})
        assert leases(service) == []
    expected = {
        "completes": (404, "not_found"),
        "fails": (502, "model_unauthorized"),
        "is cancelled": (200, "cancelled"),
    }
    assert (status, told["status"] if status == 200 else told["error"]["code"]) == expected[end]
