"""Cold start: from the start of the process to its first answer, in AWS's runtime emulator and runtime client."""

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from agency_lambda.testing.aws import dynamodb_table
from benchmarks import loopback, subjects
from benchmarks.environment import Cost, costs
from benchmarks.results import Measured, Ratio, Series, ratio
from benchmarks.subjects import OPENAI, OURS, WITH_BYTECODE, Case, ours

SECTION = "Cold start"
ONE, WHOLE = f"{OURS}, one model call", f"{OURS}, DEFER_IMPORTS=0"
HEALTH, POLL, SUBMIT = f"{OURS}, /health", f"{OURS}, polling a response", f"{OURS}, submitting a background run"
_DEPLOYED = ", on DynamoDB"  # moto's, as deployed; else SQLite
_METRICS = {"CPU": "s", "wall": "s", "peak RSS": "MB"}

type Variables = dict[str, str]


def measure(*, quick: bool) -> Measured:
    """Measure every subject in every round, each in a fresh process."""
    measured: dict[str, list[Cost]] = defaultdict(list)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        url = stack.enter_context(loopback.serving(loopback.taken))
        queue = {"QUEUE": f"{url}/1/runs", "AWS_ENDPOINT_URL_SQS": url}
        table, dynamodb = stack.enter_context(dynamodb_table())
        embedded, deployed = {"STORE": f"sqlite:///{folder}/stored.db"}, {"STORE": f"dynamodb://{table}", **dynamodb}
        polled = [(place, subjects.stored_response(folder, **place)) for place in (embedded, deployed)]
        for number in range(2 if quick else 10):
            slowest, *peers = _peers()
            once = [] if quick and number else [slowest]  # in no ratio, and as long as all of ours
            for subject, request in (*once, *peers, *_ours(folder, queue, deployed), *_polling(folder, polled)):
                measured[subject.name] += costs(subject, request)
    series = {(name, metric): _series(name, metric, spent) for name, spent in measured.items() for metric in _METRICS}
    return [*series.values()], _ratios(series)


def _peers() -> list[Case]:
    return [subjects.as_pip_ships_it(), subjects.with_bytecode(), *subjects.floors()]


def _ours(folder: Path, queue: Variables, deployed: Variables) -> list[Case]:
    asked, submitted = subjects.completion(), subjects.submitting()
    return [
        ours(folder, asked),
        ours(folder, subjects.completion("one"), ONE),
        ours(folder, asked, WHOLE, DEFER_IMPORTS="0"),
        ours(folder, asked, OURS + _DEPLOYED, **deployed),
        ours(folder, subjects.health(), HEALTH),
        ours(folder, submitted, SUBMIT, **queue),
        ours(folder, submitted, SUBMIT + _DEPLOYED, **queue, **deployed),
    ]


def _polling(folder: Path, polled: list[tuple[Variables, str]]) -> list[Case]:
    # Each where another process has stored the response before.
    return [
        ours(folder, subjects.polling(response_id), name, **place)
        for name, (place, response_id) in zip((POLL, POLL + _DEPLOYED), polled, strict=True)
    ]


def _series(name: str, metric: str, spent: list[Cost]) -> Series:
    values = {"CPU": [each.cpu for each in spent], "wall": [each.wall for each in spent]}
    return Series(SECTION, name, metric, _METRICS[metric], tuple(values.get(metric, [each.rss for each in spent])))


def _ratios(series: dict[tuple[str, str], Series]) -> list[Ratio]:
    def over(name: str, under: str, metric: str, at_most: float | None = None) -> Ratio:
        return ratio(SECTION, f"{metric}: {name} / {under}", series[name, metric], series[under, metric], at_most)

    return [
        over(OURS, WITH_BYTECODE, "CPU", 0.22),
        over(OURS, WITH_BYTECODE, "peak RSS", 0.30),
        over(OURS, OPENAI, "CPU", 1.31),
        *(over(name, WITH_BYTECODE, "CPU", 0.12) for name in (HEALTH, POLL, SUBMIT)),
        *(over(name + _DEPLOYED, WITH_BYTECODE, "CPU") for name in (OURS, POLL, SUBMIT)),
    ]
