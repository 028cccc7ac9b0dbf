"""The loop's thread waits for a thread that needs the loop: no deadlock, in either mode."""

import asyncio
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import pytest

from lambda_loop import InvocationOver, InvocationReport
from tests.library.event_loop.conftest import Make


async def work() -> str:
    await asyncio.sleep(0.001)
    return "done"


def in_thread(results: list[Any], awaitable: Any = None) -> threading.Thread:
    return threading.Thread(target=lambda: results.append(asyncio.run(awaitable or work())), daemon=True)


def test_many_waits_at_once(make: Make) -> None:
    async def one() -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work()).result()

    async def endpoint() -> int:
        return len(await asyncio.gather(*(one() for _ in range(20))))

    environment = make(endpoint=endpoint)
    assert environment.get("endpoint") == (200, 20)
    assert environment.report.thread_waits.total() >= 1
    assert "test_waits.py" in environment.report.as_dict()["thread_waits"][0]["place"]


def test_a_lock_that_a_worker_holds_while_it_needs_the_loop(make: Make) -> None:
    lock = threading.Lock()

    def tool() -> str:
        with lock:
            return asyncio.run(work())

    async def endpoint() -> str:
        task = asyncio.create_task(asyncio.to_thread(tool))
        for _ in range(20):
            with lock:
                pass
            await asyncio.sleep(0)
        return await task

    assert make(endpoint=endpoint).get("endpoint") == (200, "done")


def test_a_simple_queue_and_a_sleeping_poll(make: Make) -> None:
    async def queue() -> str:
        results: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=lambda: results.put(asyncio.run(work())), daemon=True).start()
        return results.get()

    async def poll() -> str:
        results: list[str] = []
        in_thread(results).start()
        while not results:
            time.sleep(0.2)  # noqa: ASYNC251 - a wait that stands still
        return results[0]

    environment = make(queue=queue, poll=poll)
    assert environment.get("queue") == (200, "done")
    assert environment.get("poll") == (200, "done")


def test_a_wait_with_a_timeout_still_times_out(make: Make) -> None:
    async def endpoint() -> list[Any]:
        go, results = asyncio.Event(), list[Any]()

        async def needs() -> str:
            await go.wait()
            return "went"

        thread = in_thread(results, needs())
        thread.start()
        started = time.monotonic()
        threading.Event().wait(0.2)
        waited = time.monotonic() - started
        go.set()
        await asyncio.to_thread(thread.join)
        return [results[0], waited < 1]

    assert make(endpoint=endpoint).get("endpoint") == (200, ["went", True])


def test_starting_threads_while_others_need_the_loop(make: Make) -> None:
    async def endpoint() -> int:
        results: list[str] = []
        threads = [in_thread(results) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(results)

    assert make(endpoint=endpoint).get("endpoint") == (200, 40)


def test_off_the_main_thread_a_worker_falls_back_to_a_loop_of_its_own(make: Make) -> None:
    async def endpoint() -> str:
        results: list[str] = []
        busy = in_thread([], asyncio.sleep(0.3))
        busy.start()
        thread = in_thread(results)
        thread.start()
        thread.join()
        async with asyncio.timeout(3):
            await asyncio.sleep(0.1)
        busy.join()
        return results[0]

    environment, answers = make(endpoint=endpoint), list[Any]()
    thread = threading.Thread(target=lambda: answers.append(environment.get("endpoint")))
    thread.start()
    thread.join(15)
    assert answers == [(200, "done")]
    assert any("main thread" in note for note in environment.report.notes)


def test_between_invocations_too(make: Make) -> None:
    make()

    async def waits() -> str:
        results: list[str] = []
        thread = in_thread(results)
        thread.start()
        thread.join()
        async with asyncio.timeout(3):
            await asyncio.sleep(0.05)
        return results[0]

    assert asyncio.run(waits()) == "done"


def test_a_future_of_the_loop_in_another_thread(make: Make) -> None:
    async def endpoint() -> str:
        future = asyncio.run_coroutine_threadsafe(work(), asyncio.get_running_loop())
        return await asyncio.to_thread(future.result, 5)

    assert make(endpoint=endpoint).get("endpoint") == (200, "done")


@pytest.mark.parametrize("count", [150])
def test_waits_within_waits_end_and_the_next_request_is_clean(make: Make, count: int) -> None:
    async def one() -> str:
        results: list[str] = []
        thread = in_thread(results)
        thread.start()
        thread.join()
        return results[0]

    async def endpoint() -> int:
        return len(await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True))

    environment = make(endpoint=endpoint)
    status, _ = environment.get("endpoint", seconds=15)
    assert status in (200, 504)
    assert environment.get("hello") == (200, "hello")
    assert environment.report.leftovers == []


def test_a_long_call_of_c_code_is_work_and_no_wait(make: Make) -> None:
    lock, state = threading.Lock(), {"n": 0}

    async def add() -> None:
        with lock:
            before = state["n"]
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 400_000)
            state["n"] = before + 1

    async def endpoint() -> int:
        task = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(asyncio.sleep(0.5))))
        await asyncio.sleep(0.02)
        await asyncio.gather(*(add() for _ in range(3)))
        await task
        return state["n"]

    assert make(endpoint=endpoint).get("endpoint") == (200, 3)


def test_a_worker_that_calls_again_and_again_never_hangs(make: Make) -> None:
    stop = threading.Event()

    def tool() -> int:
        rounds = 0
        while not stop.is_set():
            with suppress(Exception, asyncio.CancelledError):
                asyncio.run(asyncio.sleep(0.002))
            rounds += 1
        return rounds

    threads: list[threading.Thread] = []

    async def begin() -> str:
        threads.append(threading.Thread(target=tool))
        threads[-1].start()
        await asyncio.sleep(0.02)
        return "ok"

    environment = make(begin=begin)
    for _ in range(5):
        environment.get("begin")
        environment.get("hello")
    stop.set()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)


def test_a_worker_that_calls_as_the_request_ends_is_refused_at_once(make: Make) -> None:
    """Not by the next request, which may never come."""
    refused: list[BaseException] = []
    go = threading.Event()

    def tool() -> None:
        go.wait(5)
        try:
            asyncio.run(asyncio.sleep(0))
        except BaseException as error:  # noqa: BLE001
            refused.append(error)

    thread = threading.Thread(target=tool, daemon=True)

    async def endpoint() -> str:
        thread.start()
        return "ok"

    def on_report(report: InvocationReport) -> None:  # the last thing that the loop does for a request
        go.set()
        thread.join(2)

    environment = make(endpoint=endpoint)
    environment.handler._on_report = on_report
    assert environment.get("endpoint") == (200, "ok")
    assert [type(error) for error in refused] == [InvocationOver]
