"""How long an event takes from the model to the way out, through our Lambda runtime client."""

# The model, in the measured process, and the receiver, here, read the same clock (CLOCK_MONOTONIC). These are wall
# times of a machine that does other things too.

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agency_lambda.testing.events import rest_event
from benchmarks.child import PYTHON, ROOT, variables
from benchmarks.results import Measured, Ratio, Series
from benchmarks.timing import percentile
from tests.library.runtime.runtime_api import RuntimeApi

SECTION = "Stream"
_SUBJECT = "agency-lambda, lambda_loop.runtime"
_BODY = {"model": "one", "input": "hello", "stream": True}
_TOKEN = b"event: response.output_text.delta"
_SOON = 5.0  # milliseconds that an event should take at most
_PATIENCE = 60.0  # seconds until a process has started

Seen = tuple[float, float]  # time.monotonic() of the first event of all, and of the first token


def measure(*, quick: bool) -> Measured:
    """Milliseconds from the model's first token to the first event that leaves after it; and from the request to the
    first event of all.
    """
    rounds, block = (5, 8) if quick else (20, 20)
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder, "stamps")
        with _runtime(Path(folder, "runtime"), stamps) as ask:
            _block(ask, stamps, 5)
            series = _series([_block(ask, stamps, block) for _ in range(rounds)])
    soon = tuple(value / _SOON for value in series[0].values)
    return series, [Ratio(SECTION, f"{_SUBJECT}, token to event, to {_SOON:.0f} ms: wall", soon)]


def _series(blocks: list[list[tuple[float, float]]]) -> list[Series]:
    return [
        Series(
            SECTION,
            _SUBJECT,
            f"{what}, wall p{percent}",
            "ms",
            tuple(percentile([each[number] for each in block], percent) for block in blocks),
        )
        for number, what in enumerate(("token to event", "request to first event"))
        for percent in (50, 99)
    ]


def _block(ask: Callable[[], Seen], stamps: Path, times: int) -> list[tuple[float, float]]:
    # Milliseconds: (token to event, request to first event).
    took = []
    for _ in range(times):
        start = time.monotonic()
        first, token = ask()
        said = int(stamps.read_text().split()[-1]) / 1e9
        took.append((1000 * (token - said), 1000 * (first - start)))
    return took


@contextmanager
def _process(module: str, folder: Path, stamps: Path, **more: str) -> Iterator[Path]:
    # Yield the log of a process.
    stamped = {"STORE": f"sqlite:///{folder}/agency.db", "BENCH_STAMPS": str(stamps), **more}
    environment = variables(**stamped)
    environment["PYTHONPATH"] = f"{ROOT}/benchmarks/stamped:{environment['PYTHONPATH']}"
    folder.mkdir()
    log = folder / "log"
    with log.open("w") as said:
        process = subprocess.Popen([*PYTHON, module], env=environment, stdout=said, stderr=said, cwd=folder)
    try:
        yield log
    finally:
        process.kill()
        process.wait()


@contextmanager
def _runtime(folder: Path, stamps: Path) -> Iterator[Callable[[], Seen]]:
    # Start it as Lambda does, before a Runtime API that notes when each chunk comes.
    with RuntimeApi() as api:
        told = {"AWS_LAMBDA_RUNTIME_API": api.address, "_HANDLER": "handler.stream.handler"}
        with _process("lambda_loop.runtime", folder, stamps, **told):
            event = rest_event("POST", "/v1/responses", _BODY)

            def ask() -> Seen:
                invocation = api.invoke(event, _PATIENCE)
                assert invocation.status == 200, invocation.body
                (_, *events) = invocation.chunks
                return events[0][0], next(came for came, data in events if _TOKEN in data)

            yield ask
            api.ending = True  # what breaks off from now on is our doing
