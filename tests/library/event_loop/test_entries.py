"""What is refused at start, what is counted, and how a conflict reads."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from lambda_loop import EnvironmentLoop, EventLoopError
from tests.library.event_loop.conftest import Environment, Make
from tests.library.model_server import ModelServer

ROOT = Path(__file__).parents[3]


def script(text: str) -> str:
    """What a fresh process prints; asyncio is unpatched there."""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=ROOT, timeout=60)
    return done.stdout + done.stderr


UVLOOP = """
import asyncio, uvloop
from lambda_loop import EnvironmentLoop
{}
try:
    EnvironmentLoop(None, "{}")
except RuntimeError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize("mode", ["patch", "strict"])
@pytest.mark.parametrize("how", ["uvloop.install()", "asyncio.set_event_loop(uvloop.new_event_loop())"])
def test_uvloop_is_refused_with_a_sentence(how: str, mode: str) -> None:
    assert "refused: uvloop is in place" in script(UVLOOP.format(how, mode))


def test_a_late_environment_is_refused_with_a_sentence(make: Make) -> None:
    async def late() -> str:
        try:
            EnvironmentLoop(lambda: None)  # type: ignore[arg-type]
        except EventLoopError as error:
            return str(error)
        return "made"

    environment = make(late=late)
    assert "make the EnvironmentLoop at import" in environment.get("late")[1]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(EventLoopError, match="'patched' is unknown"):
        EnvironmentLoop(lambda: None, "patched")  # type: ignore[arg-type]


def test_strict_mode_does_not_patch_asyncio() -> None:
    out = script("""
import asyncio
task, run_once = asyncio.Task, asyncio.SelectorEventLoop._run_once
from lambda_loop import EnvironmentLoop
async def app(scope, receive, send): raise ValueError
EnvironmentLoop(app, "strict", on_report=print)
print(asyncio.Task is task, asyncio.SelectorEventLoop._run_once is run_once, hasattr(asyncio, "_nest_patched"))
EnvironmentLoop(app, "patch", on_report=print)
print(asyncio.SelectorEventLoop._run_once is run_once, hasattr(asyncio, "_nest_patched"))
""")
    assert out.split() == ["True", "True", "False", "False", "True"]


def test_patch_mode_keeps_the_tasks_and_futures_that_are_quick() -> None:
    out = script("""
import asyncio, nest_asyncio
from lambda_loop import EnvironmentLoop
async def app(scope, receive, send): raise ValueError
loop = EnvironmentLoop(app, "patch", on_report=print).loop
async def inner(): return asyncio.current_task()
async def outer():
    me = asyncio.current_task()
    return asyncio.run(inner()), loop.create_future(), asyncio.current_task() is me
task, future, same = loop.run_until_complete(outer())
print(type(task).__module__, type(future).__module__, same, asyncio.Task is type(task), asyncio.Future is type(future))
""")
    assert out.split() == ["_asyncio", "_asyncio", "True", "True", "True"]


def test_close_gives_asyncio_back() -> None:
    before = asyncio.run.__code__, asyncio.Runner.run
    environment = Environment({}, "strict")
    assert asyncio.run.__code__ != before[0]
    environment.handler.close()
    assert (asyncio.run.__code__, asyncio.Runner.run) == before
    assert asyncio.run(asyncio.sleep(0, "works")) == "works"


def test_a_conflict_says_the_call_the_line_and_what_to_write(make: Make) -> None:
    async def legacy() -> str:
        return asyncio.run(asyncio.sleep(0, "done"))

    environment = make(mode="strict", legacy=legacy)
    status, body = environment.get("legacy")
    assert status == 500
    line = legacy.__code__.co_firstlineno + 1
    assert body["error"]["type"] == "event_loop_conflict"
    assert body["error"]["message"].startswith(f"asyncio.run() at tests/library/event_loop/test_entries.py:{line} ")
    assert "`await`" in body["error"]["message"]
    assert environment.report.as_dict()["conflicts"][0]["call"] == "asyncio.run()"


def test_a_conflict_that_its_caller_handles_is_the_callers_business(make: Make) -> None:
    async def legacy() -> str:
        try:
            return asyncio.run(asyncio.sleep(0, "done"))
        except RuntimeError as error:
            return type(error).__name__

    environment = make(mode="strict", legacy=legacy)
    assert environment.get("legacy") == (200, "EventLoopConflict")
    assert len(environment.report.conflicts) == 1


def test_nested_entries_are_counted_by_place(make: Make) -> None:
    async def legacy() -> str:
        for _ in range(3):
            asyncio.run(asyncio.sleep(0))
        return "done"

    environment = make(mode="patch", legacy=legacy)
    assert environment.get("legacy") == (200, "done")
    assert environment.report.nested_entries == 3
    (entry,) = environment.report.as_dict()["nested"]
    assert (entry["call"], entry["count"]) == ("asyncio.run()", 3)


def test_one_client_keeps_one_connection_however_it_is_called(make: Make) -> None:
    with ModelServer(lambda request: "done") as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="k")

        async def ask() -> str:
            return (await client.responses.create(model="m", input="hello")).output_text

        async def awaits() -> str:
            return await ask()

        async def thread_tool() -> str:
            return await asyncio.to_thread(lambda: asyncio.run(ask()))

        async def waits_for_thread() -> str:
            answers: list[str] = []
            thread = threading.Thread(target=lambda: answers.append(asyncio.run(ask())))
            thread.start()
            thread.join()
            return answers[0]

        async def close() -> str:
            await client.close()
            return "closed"

        environment = make(awaits=awaits, thread_tool=thread_tool, waits=waits_for_thread, close=close)
        for _ in range(3):
            for name in ("awaits", "thread_tool", "waits"):
                assert environment.get(name) == (200, "done")
        assert (len(server.requests), server.connections) == (9, 1)
        environment.get("close")


def test_an_agency_call_from_a_worker_thread_runs_on_the_one_loop(make: Make) -> None:
    async def which() -> Any:
        return id(asyncio.get_running_loop())

    async def endpoint() -> list[Any]:
        before = len(os.listdir("/proc/self/fd"))
        inside = await asyncio.to_thread(lambda: asyncio.run(which()))
        return [inside == await which(), len(os.listdir("/proc/self/fd")) - before]

    environment = make(endpoint=endpoint)
    assert environment.get("endpoint") == (200, [True, 0])


def test_import_time_asyncio_run_uses_the_environments_loop(make: Make) -> None:
    environment = make()

    async def which() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert asyncio.run(which()) is environment.handler.loop
    assert asyncio.get_event_loop().run_until_complete(which()) is environment.handler.loop


def test_a_conflict_in_a_task_group_is_not_hidden_either(make: Make) -> None:
    async def child() -> str:
        return asyncio.run(asyncio.sleep(0, "done"))

    async def swallows() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        except* RuntimeError:
            pass
        return "swallowed by the user"

    async def forgets() -> str:
        asyncio.create_task(child())  # noqa: RUF006
        await asyncio.sleep(0.01)
        return "forgotten"

    environment = make(mode="strict", swallows=swallows, forgets=forgets)
    for name in ("swallows", "forgets"):
        status, body = environment.get(name)
        assert (status, body["error"]["type"]) == (500, "event_loop_conflict"), name


def test_asyncio_run_imported_by_name_before_the_environment() -> None:
    text = """
import asyncio
from asyncio import run
from lambda_loop import EnvironmentLoop
from agency_lambda.testing.events import Context, http_event
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError
    run(asyncio.sleep(0))
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"done"}})
handler = EnvironmentLoop(app, "{}", on_report=lambda report: print(report.nested_entries))
print(handler(http_event(), Context())["body"])
"""
    assert script(text.format("patch")).split() == ["1", "done"]
    assert "asyncio.run() at" in script(text.format("strict"))


def test_two_environments_in_one_process_do_not_mix(make: Make) -> None:
    async def which() -> int:
        return id(await asyncio.to_thread(asyncio.get_event_loop))

    first, second = make(which=which), make(which=which)
    for _ in range(2):
        assert first.get("which") == (200, id(first.handler.loop))
        assert second.get("which") == (200, id(second.handler.loop))
