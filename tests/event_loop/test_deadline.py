"""The environment answers before the platform kills it, and the next invocation is clean."""

import asyncio
import contextlib
import threading
import time

import pytest

from .conftest import Make


async def sleep() -> str:
    await asyncio.sleep(30)
    return "late"


async def block() -> str:
    time.sleep(30)  # noqa: ASYNC251 - the point
    return "late"


async def spin() -> str:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pass
    return "late"


async def swallow() -> str:
    for _ in range(300):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)
    return "late"


async def join() -> str:
    thread = threading.Thread(target=time.sleep, args=(3,), daemon=True)
    thread.start()
    thread.join()
    return "late"


async def catches_everything() -> str:
    try:
        time.sleep(30)  # noqa: ASYNC251
    except BaseException:  # noqa: BLE001
        time.sleep(0.05)  # noqa: ASYNC251
    return "answered after all"


@pytest.mark.parametrize("endpoint", [sleep, block, spin, swallow, join])
def test_a_run_that_outlives_its_time_is_a_504_in_time_and_the_next_is_clean(make: Make, endpoint: object) -> None:
    environment = make(endpoint=endpoint)
    started = time.monotonic()
    status, body = environment.get("endpoint", seconds=1.5)
    assert time.monotonic() - started < 1.45
    assert (status, body["error"]["type"]) == (504, "deadline_exceeded")
    assert body["error"]["request_id"] == "request-1"
    assert environment.ledger.deadline_exceeded
    assert environment.get("hello") == (200, "hello")
    assert not environment.ledger.deadline_exceeded
    assert not environment.ledger.leftovers


def test_code_that_catches_even_the_deadline_may_still_answer(make: Make) -> None:
    environment = make(endpoint=catches_everything)
    status, body = environment.get("endpoint", seconds=1.5)
    assert (status, body) == (200, "answered after all")


def test_a_sync_tool_on_a_thread_is_reported_by_name_and_its_pool_is_left_to_it(make: Make) -> None:
    release = threading.Event()

    def stuck_tool() -> None:
        release.wait(10)

    async def endpoint() -> str:
        await asyncio.gather(*(asyncio.to_thread(stuck_tool) for _ in range(32)))
        return "late"

    async def uses_the_pool() -> str:
        return await asyncio.to_thread(lambda: "done")

    environment = make(endpoint=endpoint, pool=uses_the_pool)
    try:
        assert environment.get("endpoint", seconds=1.5)[0] == 504
        assert any("test_deadline.py" in zombie for zombie in environment.ledger.zombies)
        assert environment.get("pool", seconds=3) == (200, "done")
        assert not environment.ledger.zombies
    finally:
        release.set()


def test_nested_legacy_code_that_waits_for_ever_is_interrupted(make: Make) -> None:
    async def endpoint() -> str:
        return asyncio.run(sleep())

    async def stubborn() -> str:
        return asyncio.run(swallow())

    environment = make(mode="patch", endpoint=endpoint, stubborn=stubborn)
    for name in ("endpoint", "stubborn"):
        started = time.monotonic()
        assert environment.get(name, seconds=1.5)[0] == 504
        assert time.monotonic() - started < 1.45
        assert environment.get("hello") == (200, "hello")


def test_a_thread_that_waits_for_the_loop_is_released(make: Make) -> None:
    done = threading.Event()

    def tool() -> None:
        try:
            asyncio.run(sleep())
        finally:
            done.set()

    async def endpoint() -> str:
        await asyncio.to_thread(tool)
        return "late"

    environment = make(endpoint=endpoint)
    assert environment.get("endpoint", seconds=1.5)[0] == 504
    assert done.wait(2)


def test_without_a_clock_there_is_no_deadline(make: Make) -> None:
    environment = make()
    from tests.events import http_event

    assert environment.handler(http_event(path="/hello"), None)["statusCode"] == 200


def test_the_environments_own_work_is_never_interrupted(make: Make) -> None:
    environment = make(endpoint=sleep)
    environment.handler._report = lambda ledger: time.sleep(0.2)  # past the fence
    status, body = environment.get("endpoint", seconds=1.5)
    assert (status, body["error"]["type"]) == (504, "deadline_exceeded")
