"""The environment answers before the platform kills it, and the next invocation is clean."""

import asyncio
import contextlib
import importlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tests.library.event_loop.conftest import Make


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
    with suppress(BaseException):
        time.sleep(30)  # noqa: ASYNC251
    return "answered after all"


@pytest.mark.parametrize("endpoint", [sleep, block, spin, swallow, join])
def test_a_run_that_outlives_its_time_is_a_504_in_time_and_the_next_is_clean(make: Make, endpoint: object) -> None:
    environment = make(endpoint=endpoint)
    started = time.monotonic()
    status, body = environment.get("endpoint", seconds=1.5)
    assert time.monotonic() - started < 1.45
    assert (status, body["error"]["type"]) == (504, "deadline_exceeded")
    assert body["error"]["request_id"] == "request-1"
    assert environment.report.deadline_exceeded
    assert environment.get("hello") == (200, "hello")
    assert not environment.report.deadline_exceeded
    assert not environment.report.leftovers


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
        assert any("test_deadline.py" in zombie for zombie in environment.report.zombies)
        assert environment.get("pool", seconds=3) == (200, "done")
        assert not environment.report.zombies
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
    from agency_lambda.testing.events import http_event

    assert environment.handler(http_event(path="/hello"), None)["statusCode"] == 200


def test_the_environments_own_work_is_never_interrupted(make: Make) -> None:
    environment, reported = make(endpoint=sleep), list[Any]()

    def on_report(report: Any) -> None:
        end = time.monotonic() + 0.2  # past the watchdog
        while time.monotonic() < end:
            pass
        reported.append(report)

    environment.handler._on_report = on_report
    status, body = environment.get("endpoint", seconds=1.5)
    assert (status, body["error"]["type"]) == (504, "deadline_exceeded")
    assert len(reported) == 1


def test_many_blocking_tasks_are_one_deadline(make: Make) -> None:
    async def many() -> str:
        await asyncio.gather(*(block() for _ in range(60)))
        return "late"

    environment = make(many=many)
    started = time.monotonic()
    assert environment.get("many", seconds=1.5)[0] == 504
    assert time.monotonic() - started < 1.45


def test_a_body_that_breaks_half_way_is_an_error_and_never_half_a_success(make: Make) -> None:
    async def body(fails: bool) -> AsyncIterator[bytes]:
        yield b'{"half":'
        if fails:
            raise ValueError
        await asyncio.sleep(30)

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(body("fails" in request.url.path), media_type="application/json")

    environment = make(fails=stream, late=stream)
    assert environment.get("fails")[0] == 500
    assert environment.get("late", seconds=1.5)[0] == 504


def test_abandoned_generators_do_not_outlive_the_deadline(make: Make) -> None:
    kept: list[Any] = []

    async def slow(times: int) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            for _ in range(times):
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.3)

    async def endpoint() -> str:
        for times in [1] * 50 + [20]:
            kept.append(slow(times))
            await anext(kept[-1])
        return "ok"

    environment = make(endpoint=endpoint)
    started = time.monotonic()
    assert environment.get("endpoint", seconds=2.5) == (200, "ok")
    assert time.monotonic() - started < 2.4
    assert any("generator" in entry for entry in environment.report.leftovers)
    assert environment.get("hello") == (200, "hello")


def test_sigalrm_belongs_to_the_users_code(make: Make) -> None:
    async def endpoint() -> str:
        before = signal.signal(signal.SIGALRM, lambda *_: None)
        signal.alarm(5)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        return await block()

    started = time.monotonic()
    assert make(endpoint=endpoint).get("endpoint", seconds=1.5)[0] == 504
    assert time.monotonic() - started < 1.45


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.1, 0.3])
def test_next_to_no_time_is_a_deadline_too(make: Make, seconds: float) -> None:
    environment = make(block=block, sleep=sleep)
    for name in ("block", "sleep"):
        started = time.monotonic()
        assert environment.get(name, seconds=seconds)[0] == 504
        assert time.monotonic() - started < 1
        assert environment.get("hello") == (200, "hello")


def test_nested_runs_that_wait_for_each_other_end_at_the_deadline(make: Make) -> None:
    async def endpoint() -> str:
        first, second = asyncio.Event(), asyncio.Event()

        async def one() -> None:
            asyncio.run(second.wait())  # type: ignore[arg-type]
            first.set()

        async def two() -> None:
            asyncio.run(first.wait())  # type: ignore[arg-type]
            second.set()

        await asyncio.gather(one(), two())
        return "never"

    environment = make(mode="patch", endpoint=endpoint)
    started = time.monotonic()
    assert environment.get("endpoint", seconds=1.5)[0] == 504
    assert time.monotonic() - started < 1.45
    assert environment.get("hello") == (200, "hello")


@pytest.mark.parametrize("takes", [1.2, 3.0])
def test_a_slow_import_is_never_left_half_done(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: float
) -> None:
    package = tmp_path / f"slow_{os.getpid()}_{id(make)}"
    package.mkdir()
    (package / "__init__.py").write_text(f"import {package.name}.a\nimport {package.name}.b\n")
    (package / "a.py").write_text("")
    (package / "b.py").write_text(f"import time\ntime.sleep({takes})\n")
    monkeypatch.syspath_prepend(tmp_path)

    async def lazy() -> bool:
        module = importlib.import_module(package.name)
        return hasattr(module, "a")

    environment = make(lazy=lazy)
    status, _ = environment.get("lazy", seconds=1.5)
    assert status == (200 if takes < 1.5 else 504)  # a little late, but whole; or broken off, and forgotten
    assert environment.get("lazy") == (200, True)


def test_the_clock_wakes_its_thread_for_what_comes_earlier_and_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lambda_loop.signal_timer import SignalTimer

    sent, clock, woken = threading.Event(), SignalTimer(), list[int]()
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: sent.set())
    notify = clock._changed.notify
    monkeypatch.setattr(clock._changed, "notify", lambda: (woken.append(1), notify()))
    clock.set(30)
    while clock._wakes == float("inf"):
        time.sleep(0.001)
    woken.clear()
    for _ in range(20):
        clock.set(None)
        clock.set(30)
    assert woken == []
    clock.set(0.01, repeat=60)
    assert sent.wait(5)
    clock.set(None)
