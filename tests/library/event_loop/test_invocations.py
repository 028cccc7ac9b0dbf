"""Nothing of one invocation reaches the next."""

import asyncio
import contextvars
import logging
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from agency_lambda.testing.events import Context, http_event
from lambda_loop import EnvironmentLoop, EventLoopError, InvocationOver
from tests.library.event_loop.conftest import Make

seen: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    seen.clear()
    yield
    seen.append("the test is over")


async def poll() -> None:
    while True:
        await asyncio.sleep(0.01)
        seen.append("polled")


async def swallows_cancels() -> None:
    while True:
        try:
            await asyncio.sleep(0.01)
            seen.append("polled")
        except asyncio.CancelledError:
            seen.append("swallowed")


async def swallows_everything(seen: list[str] = seen) -> None:
    while "the test is over" not in seen:
        try:
            await asyncio.sleep(0.01)
            seen.append("polled")
        except BaseException:  # noqa: BLE001
            seen.append("swallowed")


async def swallows_one_cancel() -> None:
    try:
        await asyncio.sleep(30)
    finally:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def wait_a_little() -> str:
    await asyncio.sleep(0.1)
    return "waited"


def spawning(coroutine: Any) -> Any:
    tasks = []

    async def endpoint() -> str:
        tasks.append(asyncio.create_task(coroutine()))
        await asyncio.sleep(0)
        return "spawned"

    return endpoint


@pytest.mark.parametrize("coroutine", [poll, swallows_one_cancel, swallows_cancels, swallows_everything])
def test_a_leftover_task_never_runs_in_the_next_request(make: Make, coroutine: Any) -> None:
    environment = make(spawn=spawning(coroutine), wait=wait_a_little)
    assert environment.get("spawn", seconds=4) == (200, "spawned")
    named = list(environment.report.leftovers + environment.report.zombies)
    assert any(coroutine.__name__ in entry and "test_invocations.py" in entry for entry in named)
    assert bool(environment.report.zombies) == (coroutine in (swallows_cancels, swallows_everything))
    seen.clear()
    assert environment.get("wait") == (200, "waited")
    assert seen == []
    assert environment.report.leftovers == environment.report.zombies == []


def test_a_task_that_ends_by_itself_is_no_leftover(make: Make) -> None:
    async def short() -> None:
        await asyncio.sleep(0)

    environment = make(spawn=spawning(short))
    environment.get("spawn")
    assert environment.report.leftovers == []


def test_a_timer_of_one_request_does_not_fire_in_the_next(make: Make) -> None:
    async def later() -> str:
        asyncio.get_running_loop().call_later(0.02, seen.append, "fired")
        return "ok"

    environment = make(later=later, wait=wait_a_little)
    environment.get("later")
    assert any("callback list.append" in entry for entry in environment.report.leftovers)
    environment.get("wait")
    assert seen == []


def test_an_abandoned_generator_ends_with_its_request(make: Make) -> None:
    kept: list[Any] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                await asyncio.sleep(0)
                yield number
        finally:
            seen.append("closed")

    async def abandon() -> str:
        generator = numbers()
        kept.append(generator)
        return str(await anext(generator))

    environment = make(abandon=abandon)
    assert environment.get("abandon") == (200, "0")
    assert seen == ["closed"]


def test_context_variables_do_not_travel(make: Make) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")

    async def login() -> str:
        user.set("alice")
        asyncio.get_running_loop().call_soon(user.set, "alice")
        return user.get()

    async def who() -> str:
        return user.get()

    environment = make(login=login, who=who)
    assert environment.get("login") == (200, "alice")
    assert environment.get("who") == (200, "nobody")


def test_a_thread_that_outlives_its_request_is_kept_away_from_the_loop(make: Make) -> None:
    go, done, errors = threading.Event(), threading.Event(), []

    def tool() -> None:
        go.wait(5)
        try:
            asyncio.run(poll())
        except InvocationOver as error:
            errors.append(str(error))
        if len(errors) == 2:
            done.set()

    async def endpoint() -> str:
        asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, tool)
        threading.Thread(target=tool, daemon=True).start()
        return "ok"

    async def wait() -> str:
        go.set()
        await asyncio.to_thread(done.wait, 5)
        await asyncio.sleep(0.05)
        return "waited"

    environment = make(endpoint=endpoint, wait=wait)
    environment.get("endpoint")
    assert len(environment.report.zombies) == 2
    assert environment.get("wait", seconds=5) == (200, "waited")
    assert seen == []
    assert len(errors) == 2
    assert all("whose invocation is over" in error for error in errors)


def test_a_task_started_late_by_an_old_thread_does_not_run(make: Make) -> None:
    go = threading.Event()

    def tool(loop: asyncio.AbstractEventLoop) -> None:
        go.wait(5)
        asyncio.run_coroutine_threadsafe(poll(), loop)

    async def endpoint() -> str:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, contextvars.copy_context().run, tool, loop)
        return "ok"

    async def wait() -> str:
        go.set()
        return await wait_a_little()

    environment = make(endpoint=endpoint, wait=wait)
    environment.get("endpoint")
    assert environment.get("wait") == (200, "waited")
    assert seen == []


def test_what_user_code_does_to_the_loop_is_undone(make: Make) -> None:
    async def closes() -> str:
        asyncio.get_event_loop().close()
        return "ok"

    async def stops() -> str:
        asyncio.get_event_loop().stop()
        await asyncio.sleep(0)
        return "ok"

    async def replaces() -> str:
        asyncio.set_event_loop(None)
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        return "ok"

    async def cancels() -> str:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.01)
        return "ok"

    async def shuts_down_the_pool() -> str:
        await asyncio.to_thread(lambda: None)
        await asyncio.get_running_loop().shutdown_default_executor()
        return "ok"

    async def uses_the_pool() -> str:
        return await asyncio.to_thread(lambda: "ok")

    environment = make(
        closes=closes, stops=stops, replaces=replaces, cancels=cancels, shuts=shuts_down_the_pool, pool=uses_the_pool
    )
    for name in ("closes", "stops", "replaces", "cancels", "shuts"):
        assert environment.get(name) == (200, "ok"), name
        assert environment.get("pool") == (200, "ok"), name


def test_asyncio_run_between_invocations_leaves_the_loop_in_place(make: Make) -> None:
    environment = make()

    async def script() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert environment.get("hello") == (200, "hello")
    assert asyncio.run(script()) is environment.handler.loop
    asyncio.get_event_loop().close()
    assert environment.get("hello") == (200, "hello")


def test_sys_exit_in_a_request_ends_the_request_only(make: Make) -> None:
    async def leaves() -> str:
        raise SystemExit(3)

    async def child_leaves() -> str:
        await asyncio.gather(leaves(), asyncio.sleep(0.01))
        return "never"

    environment = make(leaves=leaves, child=child_leaves)
    for name in ("leaves", "child"):
        assert environment.get(name)[0] == 500
        assert environment.get("hello") == (200, "hello")


def test_what_the_startup_began_is_reported_by_the_request_that_it_disturbs(make: Make) -> None:
    go = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async def later() -> None:
            await go.wait()
            asyncio.get_running_loop().stop()

        task = asyncio.create_task(later())
        yield
        task.cancel()

    async def endpoint() -> str:
        go.set()
        await asyncio.sleep(0.01)
        return "ok"

    environment = make(options={"lifespan": lifespan}, endpoint=endpoint)
    assert environment.get("endpoint") == (200, "ok")
    assert [note for note in environment.report.notes if "loop.stop()" in note]


def test_the_lifespan_runs_once_and_its_state_and_tasks_stay(make: Make) -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        seen.append("startup")
        task = asyncio.create_task(asyncio.sleep(60))
        yield {"pool": "shared", "task": task}  # type: ignore[misc]
        seen.append("shutdown")

    async def state(request: Request) -> list[Any]:
        return [request.state.pool, request.state.task.done()]

    environment = make(options={"lifespan": lifespan}, state=state)
    for _ in range(3):
        assert environment.get("state") == (200, ["shared", False])
    assert seen == ["startup"]
    environment.handler.close()
    assert seen == ["startup", "shutdown"]


def test_an_app_that_cannot_start_says_so(mode: str, make: Make) -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    with pytest.raises(EventLoopError, match="no database"):
        make(options={"lifespan": lifespan})


def test_an_abandoned_stream_ends_with_its_request(make: Make) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x"
            seen.append("sent")

    async def stream() -> StreamingResponse:
        response = StreamingResponse(body())
        asyncio.create_task(_read(response))  # noqa: RUF006
        await asyncio.sleep(0.05)
        return "left"  # type: ignore[return-value]

    async def _read(response: StreamingResponse) -> None:
        async for _ in response.body_iterator:
            pass

    environment = make(stream=stream, wait=wait_a_little)
    assert environment.get("stream") == (200, "left")
    seen.clear()
    environment.get("wait")
    assert seen == []


def test_many_invocations_leave_no_descriptor_thread_or_task(make: Make) -> None:
    async def busy() -> str:
        asyncio.create_task(poll())  # noqa: RUF006
        await asyncio.to_thread(asyncio.run, asyncio.sleep(0, "x"))
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        return "ok"

    others = threading.active_count()  # of tests that ran before in this process
    environment = make(busy=busy)
    for _ in range(20):
        environment.get("busy")
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(60):
        assert environment.get("busy") == (200, "ok")
    assert len(os.listdir("/proc/self/fd")) == descriptors
    pool = (os.process_cpu_count() or 1) + 4
    assert threading.active_count() <= others + pool + 1  # at most a whole default pool, and the timer
    assert len(environment.handler.loop._scheduled) < 10  # type: ignore[attr-defined]
    assert len(asyncio.all_tasks(environment.handler.loop)) == 1  # the lifespan's


def test_the_signal_and_the_timer_of_others_are_given_back(make: Make) -> None:
    environment = make()
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    mine = signal.getsignal(signal.SIGALRM)
    try:
        signal.setitimer(signal.ITIMER_REAL, 100)
        environment.get("hello")
        assert signal.getsignal(signal.SIGALRM) is mine
        assert 90 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_handler_works_outside_the_main_thread(make: Make) -> None:
    def in_pool() -> str:
        return asyncio.run(asyncio.sleep(0.01, "done"))

    async def waits() -> str:
        results: list[str] = []
        thread = threading.Thread(target=lambda: results.append(in_pool()))
        thread.start()
        thread.join(5)
        return results[0]

    environment = make(waits=waits)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(environment.get("waits")))
    thread.start()
    thread.join(10)
    assert answers == [(200, "done")]


def test_the_handler_refuses_to_be_called_on_a_running_loop(make: Make) -> None:
    environment = make()

    async def script() -> Any:
        return environment.handler(http_event(), Context())

    with pytest.raises(EventLoopError, match="running event loop"):
        environment.handler.run(script())


def test_the_longest_stall_is_measured(make: Make) -> None:
    async def stalls() -> str:
        time.sleep(0.15)  # noqa: ASYNC251
        return "ok"

    environment = make(stalls=stalls)
    environment.get("stalls")
    assert environment.report.longest_stall_ms > 100
    environment.get("hello")
    assert environment.report.longest_stall_ms < 100


def test_a_callback_that_schedules_itself_for_ever_ends_with_its_request(make: Make) -> None:
    async def tick() -> str:
        loop = asyncio.get_running_loop()

        def again() -> None:
            seen.append("tick")
            loop.call_soon(again)

        again()
        return "ok"

    environment = make(tick=tick, wait=wait_a_little)
    assert environment.get("tick") == (200, "ok")
    seen.clear()
    environment.get("wait")
    assert seen == []


def test_idle_threads_of_a_pool_delay_no_request(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pool() -> str:
        return await asyncio.to_thread(lambda: "done")

    environment, slept, sleep = make(pool=pool), list[float](), asyncio.sleep

    async def noted(delay: float, result: Any = None) -> Any:
        slept.append(delay)
        return await sleep(delay, result)

    environment.get("pool")
    monkeypatch.setattr(asyncio, "sleep", noted)
    assert environment.get("hello") == (200, "hello")
    assert slept
    assert not any(slept)


def test_settings_of_the_loop_are_put_back(make: Make) -> None:
    async def change() -> str:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor() as executor:
            loop.set_default_executor(executor)
        loop.set_task_factory(asyncio.eager_task_factory)
        loop.set_exception_handler(lambda *_: None)
        return "ok"

    async def check() -> list[Any]:
        loop = asyncio.get_running_loop()
        done = await asyncio.to_thread(lambda: "done")
        return [done, loop.get_task_factory() is None, loop.get_exception_handler() is None]

    environment = make(change=change, check=check)
    assert environment.get("change") == (200, "ok")
    assert environment.get("check") == (200, ["done", True, True])


def test_a_pool_blocked_in_c_code_is_left_to_it(make: Make) -> None:
    async def blocks() -> str:
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 4) for _ in range(40)))
        return "late"

    async def pool() -> str:
        return await asyncio.to_thread(lambda: "done")

    environment = make(blocks=blocks, pool=pool)
    assert environment.get("blocks", seconds=1.5)[0] == 504
    assert environment.report.zombies
    assert environment.get("pool", seconds=2) == (200, "done")


def test_a_worker_that_serves_many_requests_may_go_on(make: Make) -> None:
    jobs: queue.Queue[Any] = queue.Queue()
    workers: list[threading.Thread] = []

    def serve() -> None:
        while job := jobs.get():
            coroutine, future = job
            future.set_result(asyncio.run(coroutine))

    async def ask() -> str:
        if not workers:
            workers.append(threading.Thread(target=serve, daemon=True))
            workers[0].start()
        future: Future[str] = Future()
        jobs.put((asyncio.sleep(0, "served"), future))
        return await asyncio.wrap_future(future)

    environment = make(ask=ask)
    for _ in range(3):
        assert environment.get("ask") == (200, "served")
        assert environment.report.zombies == []
    jobs.put(None)


def test_a_request_that_sabotages_its_own_end_leaves_nothing(make: Make) -> None:
    async def evil() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            raise

    async def endpoint() -> str:
        asyncio.create_task(evil())  # noqa: RUF006
        asyncio.create_task(swallows_cancels())  # noqa: RUF006
        await asyncio.sleep(0.01)
        return "ok"

    environment = make(endpoint=endpoint, wait=wait_a_little)
    assert environment.get("endpoint", seconds=4) == (200, "ok")
    seen.clear()
    environment.get("wait")
    assert seen == []


def test_hundreds_of_nested_runs_end_in_a_sentence_and_the_next_request_is_clean(make: Make) -> None:
    async def nested() -> str:
        return asyncio.run(asyncio.sleep(0.01, "done"))

    async def endpoint() -> list[str]:
        results = await asyncio.gather(*(nested() for _ in range(400)), return_exceptions=True)
        return sorted({str(result)[:50] for result in results})

    environment = make(mode="patch", endpoint=endpoint)
    status, body = environment.get("endpoint")
    assert status == 200
    assert "done" in body
    assert all(text == "done" or text.startswith("asyncio.run() at tests/library/event_loop") for text in body)
    assert environment.get("hello") == (200, "hello")


def test_a_shared_client_may_start_tasks_in_a_later_request(make: Make) -> None:
    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.answered = transport, asyncio.Queue[bytes]()

        def data_received(self, data: bytes) -> None:
            asyncio.get_running_loop().create_task(self.handle(data))

        async def handle(self, data: bytes) -> None:
            await self.answered.put(data)

    shared: dict[str, Any] = {}
    server: Any = None

    async def ask() -> str:
        loop = asyncio.get_running_loop()
        if not shared:
            port = server.sockets[0].getsockname()[1]
            shared["transport"], shared["client"] = await loop.create_connection(Client, "127.0.0.1", port)
        shared["client"].transport.write(b"hello")
        return (await asyncio.wait_for(shared["client"].answered.get(), 2)).decode()

    async def close() -> str:
        shared["transport"].close()
        return "closed"

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        nonlocal server
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        yield
        server.close()

    environment = make(options={"lifespan": lifespan}, ask=ask, close=close)
    for _ in range(3):
        assert environment.get("ask") == (200, "hello")
    environment.get("close")


def test_a_raw_app_that_cannot_start_says_so(mode: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            raise SystemExit("no database")

    with pytest.raises(EventLoopError, match="no database"):
        EnvironmentLoop(app, mode)  # type: ignore[arg-type]


def test_an_app_that_breaks_the_protocol_is_a_500(mode: str) -> None:
    def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    reports: list[Any] = []
    handler = EnvironmentLoop(app, mode, on_report=reports.append)  # type: ignore[arg-type]
    assert handler(http_event(), Context())["statusCode"] == 500
    assert reports[-1].status == 500
    handler.close()


def test_an_app_that_never_answers_the_shutdown_is_closed_all_the_same(mode: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(60)

    handler = EnvironmentLoop(app, mode)  # type: ignore[arg-type]
    handler.close()
    assert handler.loop.is_closed()


def test_what_the_startup_began_works_for_the_active_request(make: Make) -> None:
    jobs: asyncio.Queue[Any] = asyncio.Queue()

    async def serve() -> None:
        while True:
            future = await jobs.get()
            try:
                future.set_result(asyncio.run(asyncio.sleep(0, "done")))
            except RuntimeError as error:
                future.set_exception(error)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(serve())
        yield
        task.cancel()

    async def ask() -> Any:
        future = asyncio.get_running_loop().create_future()
        await jobs.put(future)
        return await future

    environment = make(options={"lifespan": lifespan}, ask=ask)
    for _ in range(2):
        environment.get("ask")
        report = environment.report
        assert report.nested_entries + len(report.conflicts) == 1


@pytest.mark.parametrize("gone", [True, False])
def test_under_a_server_an_app_learns_that_its_client_is_gone(make: Make, gone: bool) -> None:
    async def endpoint(request: Request) -> bool:
        return await request.is_disconnected()

    environment, sent = make(endpoint=endpoint), list[Any]()

    async def receive() -> dict[str, str]:
        if not gone:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    environment.handler.run(environment.handler.asgi({**SCOPE}, receive, send))
    assert sent[1]["body"] == (b"true" if gone else b"false")


SCOPE = {"type": "http", "method": "GET", "path": "/endpoint", "query_string": b"", "headers": []}


def test_under_a_server_its_callbacks_do_not_inherit_a_requests_context(make: Make) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")

    async def endpoint(request: Request) -> str:
        user.set("alice")
        await request.body()
        return user.get()

    async def receive() -> dict[str, Any]:
        seen.append(user.get())  # what a transport's reader would keep for the connection's next request
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        seen.append(user.get())

    environment = make(endpoint=endpoint)
    environment.handler.run(environment.handler.asgi({**SCOPE}, receive, send))
    assert len(seen) >= 3
    assert set(seen) == {"nobody"}


def test_under_a_server_too_a_thread_of_an_ended_request_gets_no_loop(make: Make) -> None:
    go, done, errors = threading.Event(), threading.Event(), list[str]()

    def tool() -> None:
        go.wait(5)
        try:
            asyncio.run(poll())
        except InvocationOver as error:
            errors.append(str(error))
        done.set()

    async def endpoint() -> str:
        asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, tool)
        return "ok"

    environment = make(endpoint=endpoint)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        seen.append(message["type"])

    async def server() -> None:
        await environment.handler.asgi({**SCOPE}, receive, send)
        go.set()
        await asyncio.to_thread(done.wait, 5)

    environment.handler.run(server())
    assert "whose invocation is over" in errors[0]


def test_a_shared_pool_serves_later_requests_again(make: Make) -> None:
    shared = ThreadPoolExecutor(4)

    async def one() -> str:
        for _ in range(4):
            asyncio.get_running_loop().run_in_executor(shared, time.sleep, 0.3)
        await asyncio.sleep(0.05)
        return "one"

    async def two() -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(shared, lambda: asyncio.run(asyncio.sleep(0, "two")))

    environment = make(one=one, two=two)
    assert environment.get("one") == (200, "one")
    assert len(environment.report.zombies) == 4
    time.sleep(0.5)
    for _ in range(2):
        assert environment.get("two", seconds=5) == (200, "two")
    shared.shutdown()


def test_a_retry_in_a_worker_does_not_reach_the_next_request(make: Make) -> None:
    async def slow() -> None:
        seen.append("began")
        await asyncio.sleep(30)

    def tool() -> None:
        for _ in range(5):
            with suppress(Exception, asyncio.CancelledError):
                asyncio.run(slow())

    async def endpoint() -> str:
        await asyncio.to_thread(tool)
        return "late"

    environment = make(endpoint=endpoint, wait=wait_a_little)
    assert environment.get("endpoint", seconds=1.5)[0] == 504
    seen.clear()
    assert environment.get("wait") == (200, "waited")
    assert seen == []
    assert environment.report.leftovers == []


@pytest.mark.parametrize("gathered", [False, True])
def test_a_librarys_keyboard_interrupt_ends_its_request_only(make: Make, gathered: bool) -> None:
    async def interrupts() -> None:
        raise KeyboardInterrupt

    async def endpoint() -> None:
        await (asyncio.gather(interrupts(), asyncio.sleep(9)) if gathered else interrupts())

    environment = make(endpoint=endpoint)
    assert environment.get("endpoint", seconds=3)[0] == 500
    assert environment.get("hello") == (200, "hello")


def test_ctrl_c_ends_the_environment(make: Make) -> None:
    async def endpoint() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(1)

    environment = make(endpoint=endpoint)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            environment.get("endpoint", seconds=3)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert environment.get("hello") == (200, "hello")


def test_a_forked_child_has_a_loop_of_its_own(make: Make) -> None:
    async def endpoint() -> list[Any]:
        seen.clear()
        asyncio.get_running_loop().call_later(0.01, seen.append, "parent's")
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            try:
                result = asyncio.run(asyncio.sleep(0.05, "child"))
                os.write(write, f"{result} {seen}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)  # noqa: ASYNC222
        answer = os.read(read, 100).decode()
        os.close(read)
        os.close(write)
        return [answer]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads: the point
        assert make(endpoint=endpoint).get("endpoint") == (200, ["child []"])


def test_generators_of_the_startups_own_tasks_go_on(make: Make) -> None:
    async def batch() -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(0.02)
            yield number

    async def consume() -> None:
        async for number in batch():
            seen.append(str(number))

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(consume())
        yield
        task.cancel()

    environment = make(options={"lifespan": lifespan}, wait=wait_a_little)
    for _ in range(6):
        environment.get("hello")
        environment.get("wait")
    assert seen == list("01234")


def test_a_startup_thread_is_nobodys_leftover(make: Make) -> None:
    stop, results = threading.Event(), list[Any]()

    def serve() -> None:
        while not stop.wait(0.01):
            results.append(asyncio.run(asyncio.sleep(0.05, "done")))

    thread = threading.Thread(target=serve)
    thread.start()
    environment = make()
    for _ in range(20):
        environment.get("hello")
        assert environment.report.leftovers == environment.report.zombies == []
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert results
    assert set(results) == {"done"}


def test_a_second_loop_with_connections_of_its_own_stays_one(make: Make) -> None:
    second = asyncio.SelectorEventLoop()

    async def connect() -> Any:
        server = await second.create_server(Echo, "127.0.0.1", 0)
        return server, *await asyncio.open_connection(*server.sockets[0].getsockname()[:2])

    async def ask(reader: Any, writer: Any) -> str:
        writer.write(b"hello")
        return (await reader.read(100)).decode()

    async def legacy() -> str:
        return second.run_until_complete(ask(reader, writer))

    environment = make(mode="patch", legacy=legacy)
    server, reader, writer = second.run_until_complete(connect())
    assert environment.get("legacy") == (200, "hello")
    assert environment.report.nested_entries == 1
    writer.close()
    server.close()
    second.run_until_complete(asyncio.sleep(0.05))
    second.close()


def test_a_timer_with_a_standard_library_callback_ends_too(make: Make) -> None:
    async def later() -> str:
        asyncio.get_running_loop().call_later(60, logging.getLogger("x").warning, "fired")
        return "ok"

    environment = make(later=later)
    environment.get("later")
    assert len(environment.report.leftovers) == 1


@pytest.mark.parametrize("first", ["http.response.body", "nonsense"])
def test_a_raw_app_that_answers_out_of_order_is_a_500(mode: str, first: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise ValueError
        await send({"type": first, "body": b"x"})

    handler = EnvironmentLoop(app, mode, on_report=lambda report: None)  # type: ignore[arg-type]
    assert handler(http_event(), Context())["statusCode"] == 500
    handler.close()


def test_a_job_given_to_a_pool_at_the_last_moment_does_not_reach_the_next_request(make: Make) -> None:
    shared, errors = ThreadPoolExecutor(1), list[str]()

    def job() -> None:
        time.sleep(0.05)
        try:
            asyncio.run(poll())
        except InvocationOver as error:
            errors.append(str(error))

    async def endpoint() -> str:
        shared.submit(job)
        return "ok"

    environment = make(endpoint=endpoint, wait=wait_a_little)
    for _ in range(5):
        environment.get("endpoint")
        cancelled, running = len(environment.report.leftovers), len(environment.report.zombies)
        assert cancelled + running == 1
        environment.get("wait")
        assert seen == []
        shared.submit(int).result(5)  # after the job
        assert len(errors) == running
        errors.clear()
    shared.shutdown()
