"""`python -m benchmarks.agent_messages [--seconds 30] [--rounds 1]`: one run that sends 40 messages, by each transport.

A message takes its recipient so many seconds of model time. Workers are processes that take 5 messages at once, as on
Lambda, on emulated SQS and DynamoDB, whose speed is the emulator's; `make run` is one process on SQLite.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.service import RunService
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.settings import Settings
from agency_lambda.testing.workers import Workers, workers
from benchmarks.beside import process_tree
from benchmarks.child import ROOT, variables

MESSAGES = 40
_GOAL = 3.5  # times as fast as one worker, with 30 s a message
_WORKER = (
    sys.executable,
    "-c",
    "from agency_lambda.testing import workers; workers._SWEEP = 60.0; workers.main('benchmarks.counting_worker')",
)
_ROOTS = ("benchmarks/swarm", "benchmarks/task", ".", "src")
_COUNTS = ("seconds", "messages", "reads", "writes", "records", "units", "sends", "batches")
# USD: list prices of us-east-1 as in docs/deploy.md.
_GB_SECOND, _UNIT, _SQS_REQUEST, _INVOCATION = 0.0000133334, 0.625e-6, 0.4e-6, 0.2e-6


class Case(NamedTuple):
    name: str
    workers: int
    settings: dict[str, str]


CASES = (
    Case("memory, 10 at once", 1, {"MESSAGES_AT_ONCE": "10"}),
    Case("memory, 40 at once", 1, {"MESSAGES_AT_ONCE": "40"}),
    *(Case(f"queue, {count} workers", count, {"AGENT_MESSAGES": "queue"}) for count in (1, 2, 4)),
)
type Took = dict[str, float]


def main() -> None:
    """Measure the cases in turn, round by round, and print a table of medians."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.agent_messages")
    arguments.add_argument("--seconds", type=float, default=30.0, help="of model time a message")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument(
        "--chain", action="store_true", help="the five-step chain instead, whose model answers at once"
    )
    arguments.add_argument(
        "--sqlite", action="store_true", help="as the workers' store, in place of an emulated DynamoDB"
    )
    arguments.add_argument("--only", default="", help="cases whose name has this in it")
    asked = arguments.parse_args()
    cases = [case for case in CASES if asked.only in case.name]
    took: dict[str, list[Took]] = {case.name: [] for case in cases}
    store = "sqlite:///{folder}/agency.db" if asked.sqlite else ""
    for _ in range(asked.rounds):
        for case in cases:
            took[case.name].append(measure(case, asked.seconds, store, chain=asked.chain))
            print(case.name, {name: round(value, 2) for name, value in took[case.name][-1].items()}, file=sys.stderr)
    print(table(took))
    if {"queue, 1 workers", "queue, 4 workers"} <= took.keys():
        one, four = (median(each["wall"] for each in took[f"queue, {count} workers"]) for count in (1, 4))
        print(f"4 workers are {one / four:.2f} times as fast as one; the goal is {_GOAL}")


def table(took: dict[str, list[Took]]) -> str:
    names = list(next(iter(took.values()))[0])
    lines = [["", *names], ["---"] * (len(names) + 1)]
    for case, rounds in took.items():
        lines.append([case, *(f"{median(each[name] for each in rounds):.4g}" for name in names)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measure(case: Case, seconds: float, store: str, *, chain: bool = False) -> Took:
    """Return wall and CPU seconds of one run, the model calls, and what AWS would be asked for."""
    with (
        tempfile.TemporaryDirectory() as folder,
        provider() as url,
        _started(case, Path(folder), url, store) as started,
    ):
        costs = Path(folder, "costs")
        with client(started.environment) as ask:
            ask("swarm", f"{5 * case.workers} messages of 0.3 s")  # each process imports what it needs
            ask("chain", "hello")
            seen, before = _boss_and_helper(url), costs.read_text().count("\n")
            cpu = _cpu(started)
            wall, usage = ask("chain" if chain else "swarm", f"{MESSAGES} messages of {seconds} s")
            time.sleep(1)  # until the last batch is written down
            cpu, asked = _cpu(started) - cpu, _boss_and_helper(url) - seen
        assert chain or asked == usage["model_calls"] == MESSAGES + 2, (asked, usage)
        return {"wall": wall, "CPU": cpu, "model calls": usage["model_calls"], **_costs(costs, before)}


@contextmanager
def _started(case: Case, folder: Path, url: str, store: str) -> Iterator[Workers]:
    known = {**variables(**case.settings), "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url, "COSTS": f"{folder}/costs"}
    known["PYTHONPATH"] = os.pathsep.join(str(ROOT / root) for root in _ROOTS)
    store = store.format(folder=folder)
    with workers(
        case.workers, output=folder / "output", store=store, command=_WORKER, visibility=900, **known
    ) as started:
        yield started


@contextmanager
def client(environment: dict[str, str]) -> Iterator[Any]:
    """Yield ask(agency, input) -> (wall seconds until the run has ended, its usage)."""
    kept = {**os.environ}
    os.environ.update(environment)
    with asyncio.Runner() as runner:
        runs = RunService(Settings(store=environment["STORE"], queue=environment["QUEUE"]))

        async def ask(agency: str, text: str) -> tuple[float, Any]:
            begun = time.monotonic()
            request = CreateResponse.model_validate({"model": agency, "input": text, "background": True})
            run_id = (await runs.create(request, "owner")).response["id"]
            while (response := (await Responses(runs.store, "owner").get(run_id)).response)["status"] != "completed":
                assert response["status"] in ("queued", "in_progress"), response["error"]
                await asyncio.sleep(0.1)
            return time.monotonic() - begun, response["usage"]

        yield lambda *asked: runner.run(ask(*asked))
        runner.run(runs.aclose())
    os.environ.clear()
    os.environ.update(kept)


@contextmanager
def provider() -> Iterator[str]:
    """Start the provider; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.swarm_provider"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def _boss_and_helper(url: str) -> int:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/")
    return sum(json.loads(connection.getresponse().read()).values())


def _cpu(started: Workers) -> float:
    return sum(map(process_tree.cpu, started.pids))


def _costs(path: Path, before: int) -> Took:
    batches: list[dict[str, float]] = [json.loads(line) for line in path.read_text().splitlines()[before:]]
    total = {name: sum(each.get(name, 1) for each in batches) for name in _COUNTS}
    requests = total["sends"] + 2 * total["batches"]  # each batch is received once, and deleted once
    usd = (
        total["seconds"] * _GB_SECOND
        + total["units"] * _UNIT
        + requests * _SQS_REQUEST
        + total["batches"] * _INVOCATION
    )
    return {**total, "USD of 1,000": 1000 * usd}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "benchmarks" / "swarm"))
    main()
