"""Runs every pattern in four environments and writes the table of docs/event-loop.md."""

# `python -m benchmarks.loop_patterns` measures all four; `... ENVIRONMENT` prints one as JSON lines. Without this
# project each pattern gets a process of its own, because several of them ruin the loop that they run on.

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agency_lambda.testing.events import Context, http_event
from lambda_loop import EnvironmentLoop, InvocationReport

from . import patterns

ENVIRONMENTS = {
    "plain": "FastAPI",
    "nest": "FastAPI + nest_asyncio",
    "patch": "this project, patch",
    "strict": "this project, strict",
}
_PATIENCE = 6.0  # seconds until a pattern counts as hanging
_PAGE = Path(__file__).parent.parent / "docs" / "event-loop.md"
_BEGIN, _END = "<!-- table: python -m benchmarks.loop_patterns -->", "<!-- end of table -->"

Outcome = dict[str, Any]
Invoke = Callable[[str], Outcome]


def _environment(mode: str) -> Invoke:
    reports: list[InvocationReport] = []
    handler = EnvironmentLoop(patterns.make_app(), mode, on_report=reports.append)  # type: ignore[arg-type]

    def invoke(name: str) -> Outcome:
        answer = handler(http_event(path=f"/{name}"), Context(_PATIENCE))
        return {"status": answer["statusCode"], "body": answer["body"], "report": reports[-1].as_dict()}

    return invoke


def _fastapi() -> Invoke:
    # The app as a server would run it: one loop, one request after the other.
    import httpx

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(patterns.make_app(), raise_app_exceptions=False), base_url="http://localhost"
    )

    async def get(name: str) -> Outcome:
        longest, due = 0.0, loop.time()

        async def watch() -> None:
            nonlocal longest, due
            while True:
                due = loop.time() + 0.01
                await asyncio.sleep(0.01)
                longest = max(longest, loop.time() - due)

        watcher = asyncio.create_task(watch())
        answer = await client.get(f"/{name}")
        longest = max(longest, loop.time() - due)
        watcher.cancel()
        return {"status": answer.status_code, "body": answer.text, "report": {"longest_stall_ms": 1000 * longest}}

    return lambda name: loop.run_until_complete(get(name))


def _start(environment: str) -> Invoke:
    if environment == "nest":
        import nest_asyncio

        nest_asyncio.apply(asyncio.new_event_loop())
    return _fastapi() if environment in ("plain", "nest") else _environment(environment)


def _observe(invoke: Invoke, name: str) -> Outcome:
    # The pattern, then an innocent request in the same process.
    outcome: Outcome = {"pattern": name}
    try:
        before = len(os.listdir("/proc/self/fd"))
        outcome |= invoke(name)
        outcome["descriptors"] = len(os.listdir("/proc/self/fd")) - before
        outcome["next"] = invoke("await_five_hops")["status"]
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the outcome
        outcome["raised"] = f"{type(error).__name__}: {error}"
    return outcome


def _forked(environment: str, name: str) -> Outcome:
    # The same in a process of its own; {"hangs": true} when no answer comes.
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps(_observe(_start(environment), name)).encode())
        os._exit(0)
    os.close(write)
    try:
        return _collect(read, child, name)
    finally:
        os.close(read)


def _collect(read: int, child: int, name: str) -> Outcome:
    import select

    ready, _, _ = select.select([read], [], [], _PATIENCE + 2)
    raw = os.read(read, 1 << 20) if ready else b""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return json.loads(raw) if raw else {"pattern": name, "hangs": True}


def verdict(outcome: Outcome) -> str:
    """An outcome in a few words."""
    if "hangs" in outcome:
        return "hangs"
    if "status" not in outcome:
        return "raises"
    words = _answer(outcome)
    if outcome["status"] == 200 and outcome["report"]["longest_stall_ms"] > 1000 * 5 * patterns.THINKING:
        words += ", freezes the loop"
    if outcome.get("next") != 200:
        words += ", breaks the next request"
    if outcome.get("descriptors", 0) > 0:
        words += f", leaks {outcome['descriptors']} descriptors"
    return words


def _answer(outcome: Outcome) -> str:
    if outcome["status"] == 200:
        return "works" if outcome["body"] == '{"result":"done"}' else "**error hidden in a 200**"
    return "refused by name and line" if "event_loop_conflict" in outcome["body"] else f"{outcome['status']}"


def measure(environment: str) -> None:
    """Print the outcome of each pattern in one environment."""
    ours = _start(environment) if environment in ("patch", "strict") else None
    if ours:
        ours("await_five_hops")  # opens what stays open: the loop's own descriptors are no leak
    for name in patterns.PATTERNS:
        print(json.dumps(_observe(ours, name) if ours else _forked(environment, name)), flush=True)


def main() -> None:
    """Measure one environment, or all of them into the page."""
    logging.disable(logging.CRITICAL)
    if sys.argv[1:]:
        measure(sys.argv[1])
        return
    rows = {name: [name.replace("_", " ")] for name in patterns.PATTERNS}
    for environment in ENVIRONMENTS:
        command = [sys.executable, "-W", "ignore", "-m", __spec__.name, environment]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        for outcome in map(json.loads, lines):
            rows[outcome["pattern"]].append(verdict(outcome))
    table = [["pattern", *ENVIRONMENTS.values()], ["---"] * (1 + len(ENVIRONMENTS)), *rows.values()]
    text = "\n".join("| " + " | ".join(row) + " |" for row in table)
    page = _PAGE.read_text()
    head, rest = page.split(_BEGIN)
    _PAGE.write_text(f"{head}{_BEGIN}\n{text}\n{_END}{rest.split(_END)[1]}")
    print(text)


if __name__ == "__main__":
    main()
