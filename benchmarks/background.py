"""A thousand runs in the queue, drained by one worker: `handler.worker.handler`, one message at a time, on SQLite."""

import sys
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.child import Child, serve
from benchmarks.results import Measured, Ratio, Series

SECTION = "Background runs"
WORKER = "one worker"
_MODEL = 0.005  # seconds that a model takes
_HELD = {"RSS": ("MB", 1.02), "descriptors": ("count", 1.0), "threads": ("count", 1.0)}

Block = dict[str, float]


def measure(*, quick: bool) -> Measured:
    """Runs per CPU second and what the worker holds, block by block; and how near a slow model's pace it comes."""
    number, block = (200, 20) if quick else (1000, 100)
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/agency.db"
        with Child(__name__, "api", STORE=store) as api, Child(__name__, "worker", STORE=store) as worker:
            runs = api.ask(number + 10 + block)
            worker.ask(runs[:10], 0)
            waiting, slow = runs[10 : number + 10], runs[number + 10 :]
            blocks = [worker.ask(waiting[start : start + block], 0) for start in range(0, number, block)]
            paced = worker.ask(slow, _MODEL)
            swept = api.ask("unfinished")
    assert swept == 0, f"{swept} runs are not finished"
    return _series(blocks, block), _ratios(blocks, paced, len(slow) * _MODEL)


def _series(blocks: list[Block], block: int) -> list[Series]:
    rate = Series(SECTION, WORKER, "runs per CPU second", "runs", tuple(block / each["CPU"] for each in blocks))
    wall = Series(SECTION, WORKER, "runs per second", "runs", tuple(block / each["wall"] for each in blocks))
    held = [
        Series(SECTION, f"{WORKER}, after each {block} runs", what, unit, tuple(each[what] for each in blocks))
        for what, (unit, _) in _HELD.items()
    ]
    return [rate, wall, *held]


def _ratios(blocks: list[Block], paced: Block, model: float) -> list[Ratio]:
    drift = tuple(late["CPU"] / early["CPU"] for early, late in zip(blocks[:3], blocks[-3:], strict=True))
    return [
        Ratio(SECTION, "CPU of the last three blocks to the first three", drift, 1.1),
        *(
            Ratio(SECTION, f"{what} at the end to half-way", (blocks[-1][what] / blocks[len(blocks) // 2][what],), goal)
            for what, (_, goal) in _HELD.items()
        ),
        Ratio(SECTION, f"wall to a model that takes {1000 * _MODEL:.0f} ms", (paced["wall"] / model,)),
        Ratio(SECTION, "wall to that model and the worker's CPU", (paced["wall"] / (model + paced["CPU"]),)),
    ]


# ---- in the child -------------------------------------------------------------------------------------------------


def _api() -> Callable[[Any], Any]:
    # do(number): so many runs are queued; returns their ids. do("unfinished"): how many are not final.
    import asyncio
    import json

    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs.leases import Leases
    from agency_lambda.testing.events import Context, rest_event
    from handler.api import handler

    body = {"model": "one", "input": "hello", "background": True}

    def queue() -> str:
        answer = handler(rest_event("POST", "/v1/responses", body), Context(30))
        assert answer["statusCode"] == 200, answer
        return str(json.loads(answer["body"])["id"])

    def do(what: Any) -> Any:
        if what == "unfinished":
            return len(asyncio.run(Leases(get_run_service().store).all()))
        return [queue() for _ in range(what)]

    return do


def _worker() -> Callable[[list[str], float], Block]:
    # do(runs, seconds): work on these, with a model that takes so long.
    import json
    import time

    from agency_lambda.testing.events import Context
    from benchmarks.slow_model import slow_down
    from benchmarks.vitals import vitals
    from handler.worker import handler, worker

    def work(run: str) -> None:
        record = {"messageId": run, "receiptHandle": run, "body": json.dumps({"run": run})}
        assert handler({"Records": [record]}, Context(60)) == {"batchItemFailures": []}

    def do(waiting: list[str], seconds: float) -> Block:
        slow_down(seconds)
        wall, cpu = time.perf_counter(), time.process_time()
        for run in waiting:
            work(run)
        took = {"CPU": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        return {**took, **vitals(worker.environment.loop)}

    return do


if __name__ == "__main__":
    serve({"api": _api, "worker": _worker}[sys.argv[1]])
