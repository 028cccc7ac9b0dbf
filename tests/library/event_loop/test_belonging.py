"""Whatever a request began, in whatever way, ends with it or is named and gets no loop in a later one."""

import _thread
import asyncio
import contextvars
import gc
import multiprocessing.pool
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from asgiref.sync import async_to_sync

from lambda_loop import EventLoopError, InvocationOver, InvocationReport
from tests.library.event_loop.conftest import Environment, Make

LATER = 0.1  # seconds after which what a request began comes back
INTERPRETED = """
import time
while True:
    try:
        time.sleep(0.2)
    except BaseException:
        pass
"""
LIBRARY = """
import threading
def later(call):
    threading.Thread(target=run, args=(call,), daemon=True).start()
def run(call):
    call()
"""


class Written:
    """Who has got onto a loop, in which request; who came, and who was refused."""

    def __init__(self) -> None:
        self.request, self.loop_runs, self.came, self.refused = "", list[str](), set[str](), set[str]()

    async def write(self, who: str) -> None:
        self.loop_runs.append(f"{who} in {self.request}")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An installed package that starts threads of its own."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "somebodys_threads.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(folder))
    import somebodys_threads  # type: ignore[import-not-found]

    yield somebodys_threads
    del sys.modules["somebodys_threads"]


# How a request begins something in another thread: each is given a function that is to be called there.
WAYS: dict[str, Callable[[Callable[[], None], Any, Any], Any]] = {
    "thread": lambda call, pool, library: threading.Thread(target=call, daemon=True).start(),
    "thread in a context of its own": lambda call, pool, library: contextvars.copy_context().run(
        threading.Thread(target=call, daemon=True).start
    ),
    "subclass of Thread": lambda call, pool, library: type("Own", (threading.Thread,), {"run": lambda _: call()})(
        daemon=True
    ).start(),
    "thread of a thread": lambda call, pool, library: threading.Thread(
        target=lambda: threading.Thread(target=call, daemon=True).start(), daemon=True
    ).start(),
    "_thread": lambda call, pool, library: _thread.start_new_thread(call, ()),
    "job of a shared pool": lambda call, pool, library: pool.submit(call),
    "job of a pool of its own": lambda call, pool, library: ThreadPoolExecutor(1).submit(call),
    "callback of a job": lambda call, pool, library: pool.submit(time.sleep, 1.0).add_done_callback(lambda _: call()),
    "default pool": lambda call, pool, library: asyncio.get_running_loop().run_in_executor(None, call),
    "thread of a library": lambda call, pool, library: library.later(call),
}


def ways_onto_a_loop(written: Written, loop: Any) -> dict[str, Callable[[str], Any]]:
    """The ways in which code in another thread gets onto a loop."""
    coro = written.write
    return {
        "asyncio.run": lambda who: asyncio.run(coro(who)),
        "asyncio.run on a loop of its own": lambda who: asyncio.run(coro(who), loop_factory=asyncio.SelectorEventLoop),
        "asyncio.Runner": lambda who: asyncio.Runner().run(coro(who)),
        "a new loop": lambda who: asyncio.new_event_loop().run_until_complete(coro(who)),
        "get_event_loop": lambda who: asyncio.get_event_loop().run_until_complete(coro(who)),
        "run_coroutine_threadsafe": lambda who: asyncio.run_coroutine_threadsafe(coro(who), loop).result(5),
        "call_soon_threadsafe": lambda who: loop.call_soon_threadsafe(
            lambda: written.loop_runs.append(f"{who} in {written.request}")
        ),
        "call_soon_threadsafe(create_task)": lambda who: loop.call_soon_threadsafe(loop.create_task, coro(who)),
        "anyio.run": lambda who: anyio.run(coro, who),
        "loop.create_task": lambda who: loop.create_task(coro(who)),
    }


def test_nothing_that_a_request_began_in_another_thread_gets_onto_a_loop_later(
    make: Make, library: Any, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    written, shared, begun, go = Written(), ThreadPoolExecutor(64), list[str](), threading.Event()

    def comes(who: str, enter: Callable[[str], Any]) -> Callable[[], None]:
        def call() -> None:
            go.wait(20)
            written.came.add(who)
            try:
                enter(who)
            except InvocationOver:
                written.refused.add(who)
                raise

        return call

    async def begin() -> str:
        for way, start in WAYS.items():
            for name, enter in ways_onto_a_loop(written, asyncio.get_running_loop()).items():
                begun.append(f"{way}: {name}")
                start(comes(begun[-1], enter), shared, library)
        return "ok"

    async def wait() -> str:
        go.set()
        await asyncio.sleep(0.4)
        return "waited"

    environment = make(begin=begin, wait=wait)
    written.request = "the first"
    environment.get("begin")
    report = environment.report
    written.request = "the second"
    assert environment.get("wait") == (200, "waited")
    shared.shutdown()
    gc.collect()
    assert written.loop_runs == []
    assert written.refused == written.came
    never = sum("callback" in each for each in begun) + len(report.leftovers)  # jobs that no thread had taken
    assert len(written.came) + never == len(begun)
    named = report.zombies + report.leftovers
    assert [each for each in named if not re.search(r"(test_belonging|somebodys_threads)\.py:\d", each)] == []
    assert len(named) == len(begun)
    assert environment.report.zombies == environment.report.leftovers == []
    assert "Traceback" not in "".join(capfd.readouterr())
    assert [each for each in recwarn.list if "never awaited" in str(each.message)] == []


async def _ran(seen: list[str]) -> None:
    seen.append("ran")


def _chain(loop: Any, schedule: Any, seen: list[str]) -> None:
    seen.append("ran")
    schedule(loop, partial(_chain, loop, schedule, seen))


def _in_a_context(call: Any, *args: Any) -> None:
    contextvars.Context().run(call, *args)


def _reads(loop: Any, seen: list[str], kept: Any) -> None:
    ours, theirs = socket.socketpair()
    kept += [ours, theirs]
    loop.add_reader(ours, seen.append, "ran")
    loop.add_writer(ours, lambda: seen.append("ran"))
    theirs.send(b"x")


# How a request has its loop call something later: each is given the loop, what is written, and what is to be kept.
SCHEDULES: dict[str, Callable[[Any, list[str], list[Any]], Any]] = {
    "function": lambda loop, seen, kept: loop.call_later(0.05, lambda: seen.append("ran")),
    "method written in C": lambda loop, seen, kept: loop.call_later(0.05, seen.append, "ran"),
    "create_task": lambda loop, seen, kept: loop.call_later(0.05, asyncio.create_task, _ran(seen)),
    "method of the loop": lambda loop, seen, kept: loop.call_later(0.05, loop.create_task, _ran(seen)),
    "partial": lambda loop, seen, kept: loop.call_later(0.05, partial(asyncio.ensure_future, _ran(seen))),
    "pool": lambda loop, seen, kept: loop.call_later(0.05, loop.run_in_executor, None, seen.append, "ran"),
    "equal timers": lambda loop, seen, kept: [loop.call_at(loop.time() // 1 + 1.1, seen.append, "ran") for _ in "ab"],
    "chain of timers in a context": lambda loop, seen, kept: _chain(
        loop, lambda loop, call: loop.call_later(0.02, call, context=contextvars.Context()), seen
    ),
    "chain of callbacks in a context": lambda loop, seen, kept: _chain(
        loop, lambda loop, call: loop.call_soon(call, context=contextvars.Context()), seen
    ),
    "timer in a context": lambda loop, seen, kept: _in_a_context(loop.call_later, 0.05, seen.append, "ran"),
    "file descriptors": _reads,
    "signal": lambda loop, seen, kept: loop.add_signal_handler(signal.SIGUSR2, seen.append, "ran"),
}


@pytest.mark.parametrize("way", SCHEDULES)
def test_nothing_that_a_request_scheduled_runs_later(
    make: Make, way: str, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    seen, kept = list[str](), list[Any]()

    async def begin() -> str:
        SCHEDULES[way](asyncio.get_running_loop(), seen, kept)
        return "ok"

    async def wait() -> str:
        if way == "signal":
            before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            os.kill(os.getpid(), signal.SIGUSR2)
            signal.signal(signal.SIGUSR2, before)
        await asyncio.sleep(0.2)
        return "waited"

    environment = make(begin=begin, wait=wait)
    assert environment.get("begin") == (200, "ok")
    assert environment.report.leftovers
    assert all("test_belonging.py:" in each for each in environment.report.leftovers)
    seen.clear()
    assert environment.get("wait") == (200, "waited")
    assert seen == []
    assert environment.report.leftovers == []
    gc.collect()
    assert [each for each in recwarn.list if "never awaited" in str(each.message)] == []
    assert "Traceback" not in "".join(capfd.readouterr())
    for each in kept:
        each.close()


def test_a_server_that_a_request_left_open_is_closed(make: Make) -> None:
    async def begin() -> int:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def call(request: Any) -> str:
        try:
            await asyncio.open_connection("127.0.0.1", int(request.query_params.get("port", port)))
        except OSError:
            return "refused"
        return "answered"

    port = 0
    environment = make(begin=begin, call=call)
    port = environment.get("begin")[1]
    assert len(environment.report.leftovers) == 1
    assert environment.get("call") == (200, "refused")


def test_a_task_on_a_loop_of_the_users_own_does_not_go_on(make: Make) -> None:
    seen, second = list[str](), asyncio.SelectorEventLoop()

    async def ticks() -> None:
        while True:
            seen.append("tick")
            await asyncio.sleep(0.01)

    async def spawns() -> Any:
        return asyncio.create_task(ticks())

    async def begin() -> str:
        tasks.append(await asyncio.to_thread(second.run_until_complete, spawns()))
        return "ok"

    async def again() -> str:
        await asyncio.to_thread(second.run_until_complete, asyncio.sleep(0.05))
        return "ok"

    tasks: list[Any] = []
    environment = make(begin=begin, again=again)
    environment.get("begin")
    assert any("ticks" in each and "test_belonging.py:" in each for each in environment.report.zombies)
    seen.clear()
    assert environment.get("again") == (200, "ok")
    assert len(seen) <= 1
    assert tasks[0].cancelled()
    second.close()


def test_a_task_that_swallows_everything_is_quiet(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    async def swallows() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(9)

    async def begin() -> str:
        asyncio.create_task(swallows())  # noqa: RUF006
        await asyncio.sleep(0)
        return "ok"

    environment = make(begin=begin)
    environment.get("begin", seconds=3)
    assert len(environment.report.zombies) == 1
    gc.collect()
    assert caplog.records == []


def test_a_timer_that_has_not_fired_is_cancelled_and_named(make: Make) -> None:
    fired = list[str]()

    async def begin() -> str:
        threading.Timer(0.1, fired.append, ("late",)).start()
        threading.Timer(0.1, lambda: fired.append("late")).start()
        return "ok"

    environment = make(begin=begin)
    environment.get("begin")
    assert len(environment.report.leftovers) == 2
    assert all("test_belonging.py:" in each for each in environment.report.leftovers)
    assert environment.report.zombies == []
    time.sleep(0.2)
    assert fired == []


def test_jobs_of_multiprocessings_pool_get_no_loop_later(make: Make) -> None:
    written, refused = Written(), list[str]()

    def job(number: int) -> None:
        time.sleep(LATER)
        try:
            asyncio.run(written.write(str(number)))
        except InvocationOver:
            refused.append("")
            raise

    async def begin() -> str:
        pool.apply_async(job, (1,))
        pool.map_async(job, range(2))
        pool.imap_unordered(job, range(2))
        return "ok"

    async def wait() -> str:
        await asyncio.sleep(4 * LATER)
        return "waited"

    with multiprocessing.pool.ThreadPool(5) as pool:
        environment = make(begin=begin, wait=wait)
        environment.get("begin")
        assert len(environment.report.zombies) >= 1
        assert environment.get("wait") == (200, "waited")
    assert written.loop_runs == []
    assert refused


def test_a_thread_that_catches_everything_and_comes_again_never_gets_a_loop(make: Make) -> None:
    written, stop, refused = Written(), threading.Event(), list[float]()

    def comes_again() -> None:
        time.sleep(0.05)
        while not stop.is_set():
            try:
                asyncio.run(written.write("again"))
            except BaseException:  # noqa: BLE001 - as the worst code does
                refused.append(time.monotonic())

    async def begin() -> str:
        threading.Thread(target=comes_again, daemon=True).start()
        return "ok"

    async def wait() -> str:
        await asyncio.sleep(0.5)
        return "waited"

    environment = make(begin=begin, wait=wait)
    environment.get("begin")
    assert environment.get("wait") == (200, "waited")
    stop.set()
    assert written.loop_runs == []
    assert 1 <= len(refused) < 10  # it does not use up the processor either


def test_a_pools_thread_is_not_slowed_down_by_jobs_of_several_requests(make: Make) -> None:
    shared, refused = ThreadPoolExecutor(1), list[float]()

    def job() -> None:
        taken.set()
        go.wait(5)
        began = time.monotonic()
        with suppress(InvocationOver):
            asyncio.run(asyncio.sleep(0))
        refused.append(time.monotonic() - began)

    async def begin() -> str:
        shared.submit(job)
        await asyncio.to_thread(taken.wait, 5)
        return "ok"

    environment = make(begin=begin)
    for _ in range(6):
        taken, go = threading.Event(), threading.Event()
        environment.get("begin")
        assert len(environment.report.zombies) == 1
        go.set()
        shared.submit(int).result(5)
    shared.shutdown()
    assert len(refused) == 6
    assert max(refused) < 0.9  # a thread that comes again and again for one request waits a second each time


@pytest.mark.parametrize("depth", [1, 3])
def test_generators_that_were_awaited_are_closed_in_their_own_request(make: Make, depth: int) -> None:
    log, request = list[str](), ["first"]

    async def events(level: int) -> AsyncIterator[str]:
        inner = events(level - 1) if level else None
        try:
            if inner is not None:
                async for each in inner:
                    yield each
            with suppress(asyncio.CancelledError):  # many libraries turn a cancel into a last item
                await asyncio.sleep(9)
            yield "last"
            yield "more"
        finally:
            log.append(f"begins in the {request[0]}")
            await asyncio.sleep(0.01)
            log.append(f"ends in the {request[0]}")

    async def begin() -> str:
        asyncio.create_task(anext(events(depth)))  # type: ignore[arg-type]  # noqa: RUF006
        await asyncio.sleep(0.01)
        return "ok"

    async def wait() -> str:
        await asyncio.sleep(0.1)
        return "waited"

    environment = make(begin=begin, wait=wait)
    environment.get("begin")
    assert any("generator" in each and "test_belonging.py:" in each for each in environment.report.leftovers)
    request[0] = "second"
    environment.get("wait")
    assert len(log) >= 2
    assert not any("second" in each for each in log)
    assert environment.report.leftovers == environment.report.zombies == []


def test_a_generator_that_will_not_be_closed_is_named(make: Make) -> None:
    kept: list[Any] = []

    async def endless() -> AsyncIterator[int]:
        while True:
            try:
                yield 1
            except GeneratorExit:
                continue

    async def begin() -> str:
        kept.append(endless())
        await anext(kept[0])
        return "ok"

    environment = make(begin=begin)
    environment.get("begin")
    assert any("endless" in each and "test_belonging.py:" in each for each in environment.report.zombies)
    kept.clear()
    gc.collect()
    environment.get("hello")
    assert environment.report.leftovers == environment.report.zombies == []


def test_tasks_in_contexts_of_their_own_belong_to_the_request_too(make: Make) -> None:
    seen = list[str]()

    async def ticks() -> None:
        while True:
            await asyncio.sleep(0.01)
            seen.append("tick")

    async def outer() -> None:
        asyncio.create_task(ticks(), context=contextvars.Context())  # noqa: RUF006

    scope = {"type": "http", "method": "GET", "path": "/begin", "headers": [], "query_string": b""}

    async def begin() -> str:
        await asyncio.create_task(outer(), context=contextvars.Context())
        return "ok"

    async def send(message: Any) -> None:
        """Nobody reads it."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    environment = make(begin=begin)

    async def server() -> None:  # under a server there is no active invocation to which nobody's tasks belong
        await environment.handler.asgi({**scope}, receive, send)
        seen.clear()
        await asyncio.sleep(0.05)

    environment.handler.run(server())
    assert seen == []
    assert any("ticks" in each for each in environment.report.leftovers)


def test_a_librarys_thread_answers_later_requests(make: Make) -> None:
    """As aiosqlite does: a connection has a thread, begun by the first request, that sets the futures of all."""
    jobs: Any = __import__("queue").SimpleQueue()
    threads: list[threading.Thread] = []

    def serve() -> None:
        while (future := jobs.get()) is not None:
            future.get_loop().call_soon_threadsafe(future.set_result, "served")

    async def ask() -> str:
        if not threads:
            threads.append(threading.Thread(target=serve, daemon=True))
            threads[0].start()
        future = asyncio.get_running_loop().create_future()
        jobs.put(future)
        return str(await asyncio.wait_for(future, 5))

    environment = make(ask=ask)
    for _ in range(3):
        assert environment.get("ask") == (200, "served")
    jobs.put(None)


def test_a_conflict_that_anybody_else_catches_is_the_answer(library: Any, tmp_path: Path) -> None:
    caught: Any = {}
    source = "def catches(call):\n    try:\n        return call()\n    except Exception as e:\n        return str(e)\n"
    exec(compile(source, str(tmp_path / "site-packages" / "catching.py"), "exec"), caught)

    def safe(call: Callable[[], Any]) -> Callable[[], Any]:
        def wrapped() -> Any:
            try:
                return call()
            except Exception as error:  # noqa: BLE001
                return f"it failed: {error}"

        return wrapped

    async def work() -> str:
        return "done"

    async def by_a_library() -> Any:
        return caught["catches"](lambda: asyncio.run(work()))

    @safe
    def decorated() -> str:
        return asyncio.run(work())

    async def by_a_decorator() -> Any:
        return decorated()

    async def by_itself() -> str:
        try:
            return asyncio.run(work())
        except EventLoopError:
            return "its own business"

    environment = Environment({"library": by_a_library, "decorator": by_a_decorator, "itself": by_itself}, "strict")
    for name in ("library", "decorator"):
        status, body = environment.get(name)
        assert (status, body["error"]["type"]) == (500, "event_loop_conflict")
        assert "test_belonging.py:" in body["error"]["message"]
    assert environment.get("itself") == (200, "its own business")
    environment.handler.close()


def test_a_result_is_waited_for_in_a_worker_while_the_loops_thread_waits_for_it(make: Make) -> None:
    async def work() -> str:
        await asyncio.sleep(0.001)
        return "done"

    async def endpoint() -> list[str]:
        loop, results = asyncio.get_running_loop(), list[str]()

        def tool() -> None:
            results.append(asyncio.run_coroutine_threadsafe(work(), loop).result())
            assert asyncio.run_coroutine_threadsafe(work(), loop).exception() is None
            results.append(asyncio.run_coroutine_threadsafe(work(), loop).result(timeout=5))

        thread = threading.Thread(target=tool)
        thread.start()
        thread.join()
        return results

    environment = make(endpoint=endpoint)
    assert environment.get("endpoint", seconds=5) == (200, ["done", "done"])
    assert environment.report.thread_waits.total() >= 1


def test_asgirefs_async_to_sync_is_a_way_in_like_any_other(make: Make, mode: str) -> None:
    async def work() -> str:
        return await asyncio.sleep(0.001, "done")

    async def endpoint() -> str:
        return async_to_sync(work)()

    async def in_a_worker() -> str:
        return await asyncio.to_thread(async_to_sync(work))

    environment = make(endpoint=endpoint, worker=in_a_worker)
    status, body = environment.get("endpoint")
    if mode == "patch":
        assert (status, body, environment.report.nested_entries) == (200, "done", 1)
    else:
        assert body["error"]["message"].startswith("async_to_sync() at tests/library/event_loop/test_belonging.py:")
    assert environment.get("worker") == (200, "done")


def test_a_loop_that_catches_everything_does_not_outlive_the_deadline(make: Make) -> None:
    async def retries() -> str:
        while True:
            try:
                time.sleep(0.2)  # noqa: ASYNC251
                raise ValueError
            except BaseException:  # noqa: BLE001
                continue

    def retry() -> str:
        while True:
            with suppress(BaseException):
                time.sleep(0.2)
                raise ValueError

    async def calls() -> str:
        return retry()

    async def groups() -> None:
        while True:
            try:
                time.sleep(0.2)  # noqa: ASYNC251
                raise ValueError
            except* BaseException:  # noqa: BLE001, S110
                pass

    async def interprets() -> None:
        exec(INTERPRETED, {})

    names = {"retries": retries, "calls": calls, "groups": groups, "interprets": interprets}
    environment = make(**names)
    for name in names:
        began = time.monotonic()
        assert environment.get(name, seconds=2)[0] == 504
        assert time.monotonic() - began < 2
    assert environment.get("hello") == (200, "hello")


def test_mangums_options_can_be_given() -> None:
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    from agency_lambda.testing.events import Context, rest_event
    from lambda_loop import EnvironmentLoop

    async def endpoint(request: Any) -> Response:
        return Response("<x/>", media_type="application/x-own", headers={"x-secret": "1", "x-open": "2"})

    reports: list[InvocationReport] = []
    handler = EnvironmentLoop(
        Starlette(routes=[Route("/hello", endpoint)]),
        on_report=reports.append,
        api_gateway_base_path="/base",
        text_mime_types=["application/x-own"],
        exclude_headers=["X-Secret"],
    )
    event = rest_event("GET", "/base/hello")
    answer = handler(event, Context())
    assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (200, "<x/>", False)
    assert "x-secret" not in answer["headers"]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    handler.stream(event, Context(), send)
    assert sent[0]["status"] == 200
    assert b"x-open" in dict(sent[0]["headers"])
    assert b"x-secret" not in dict(sent[0]["headers"])
    handler.close()


def test_only_complete_counts_as_started() -> None:
    from lambda_loop import EnvironmentLoop

    def app(answer: str | None) -> Any:
        async def answers(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            if answer is not None:
                await send({"type": answer})
                await receive()

        return answers

    for wrong in ("lifespan.startup.failed", "lifespan.shutdown.complete", "nonsense", None):
        with pytest.raises(EventLoopError, match="startup failed"):
            EnvironmentLoop(app(wrong), "strict")
    EnvironmentLoop(app("lifespan.startup.complete"), "strict").close()


def test_another_interpreter_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from lambda_loop import EnvironmentLoop

    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    with pytest.raises(EventLoopError, match=r"written for CPython 3\.13"):
        EnvironmentLoop(lambda *_: None, "strict")  # type: ignore[arg-type,return-value]
