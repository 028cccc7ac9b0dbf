"""One warm invocation, beside a bare `await agency.get_response`: what this adds to a model that answers at once."""

# All live at the same time and take turns, a few invocations each: the machine's speed drifts.

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from benchmarks.child import Child, serve
from benchmarks.results import Measured, Ratio, Series, ratio
from benchmarks.timing import percentile, timed

SECTION = "Warm invocation"
DIRECT = "await agency.get_response"
PATCH, STRICT, MEMORY = "agency-lambda", "agency-lambda, strict", "agency-lambda, store in memory"
CALLS = {"one": "one call", "bench": "five-call flow"}
_AT_ONCE = 4  # invocations
_OWN = 3.0  # milliseconds of CPU that storing a run may cost beside the store
_MODEL, _STORE = 0.05, 0.02  # seconds: as in life, a model takes longer than a store

Took = dict[str, list[float]]


class Case(NamedTuple):
    """kind: how it is asked for."""

    subject: str
    agency: str
    kind: str

    @property
    def title(self) -> str:
        told = {"unstored": "not stored", "stored": "stored", "plain": ""}
        return ", ".join(text for text in (self.subject, CALLS[self.agency], told[self.kind]) if text)


def measure(*, quick: bool) -> Measured:
    """CPU and wall, p50 and p99; what storing costs beside the store; and how often a run waits for its store."""
    rounds, turns = (5, 2) if quick else (15, 12)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = f"sqlite:///{folder}/agency.db"
        children = {
            PATCH: Child(__name__, "service", STORE=store),
            STRICT: Child(__name__, "service", STORE=store, EVENT_LOOP="strict"),
            MEMORY: Child(__name__, "watched"),
            DIRECT: Child(__name__, "direct"),
        }
        for child in children.values():
            stack.enter_context(child)
        took = _take_turns(children, rounds, turns)
        waits, waited_for = _waiting(children[MEMORY])
    series = {(case, metric): _series(case, metric, took[case]) for case in took for metric in ("CPU", "wall")}
    slowest = [_series(case, metric, took[case], 99) for case in took for metric in ("CPU", "wall")]
    return [*series.values(), *slowest, *waits], [*_ratios({case: series[case, "CPU"] for case in took}), waited_for]


def _take_turns(children: dict[str, Child], rounds: int, turns: int) -> dict[Case, list[Took]]:
    # A block for each round: of several turns, in which all are asked one after the other.
    took: dict[Case, list[Took]] = {case: [] for case in _cases()}
    for case in took:
        children[case.subject].ask(case.agency, case.kind, _AT_ONCE)  # what is made by the first invocations
    for _ in range(rounds):
        for blocks in took.values():
            blocks.append({"CPU": [], "wall": []})
        for _ in range(turns):
            for case, blocks in took.items():
                for metric, values in children[case.subject].ask(case.agency, case.kind, _AT_ONCE).items():
                    blocks[-1][metric] += values
    return took


def _cases() -> list[Case]:
    # Neighbours are compared.
    order = [
        *((DIRECT, "plain"), (PATCH, "unstored"), (STRICT, "unstored")),
        *((PATCH, "stored"), (MEMORY, "stored"), (MEMORY, "unstored")),
    ]
    return [Case(subject, agency, kind) for agency in CALLS for subject, kind in order]


def _series(case: Case, metric: str, blocks: list[Took], percent: float = 50) -> Series:
    values = tuple(percentile(took[metric], percent) for took in blocks)
    return Series(SECTION, case.title, f"{metric} p{percent:.0f}", "ms", values)


def _ratios(cpu: dict[Case, Series]) -> list[Ratio]:
    made = []
    for agency, calls in CALLS.items():
        direct = cpu[Case(DIRECT, agency, "plain")]
        for subject, goal in ((PATCH, 1.25 if agency == "bench" else None), (STRICT, None)):
            over = cpu[Case(subject, agency, "unstored")]
            made.append(ratio(SECTION, f"{subject}, not stored, to {DIRECT}, {calls}: CPU", over, direct, goal))
        plain, stored = cpu[Case(MEMORY, agency, "unstored")], cpu[Case(MEMORY, agency, "stored")]
        own = tuple((with_ - without) / _OWN for with_, without in zip(stored.values, plain.values, strict=True))
        made.append(Ratio(SECTION, f"storing a run, beside the store, to {_OWN:.0f} ms: CPU, {calls}", own, 1.0))
    return made


def _waiting(child: Child) -> tuple[list[Series], Ratio]:
    # Count how often a run asks its store, and for how many of these it waits.
    asked = {agency: child.ask(agency, "waiting", 1) for agency in CALLS}
    series = [
        Series(SECTION, f"a stored run, {CALLS[agency]}", what, "calls", (value,))
        for agency, counts in asked.items()
        for what, value in counts.items()
    ]
    more = {what: asked["bench"][what] - asked["one"][what] for what in asked["one"]}
    each = more["store: waited for"] / more["models and tools"]
    return series, Ratio(SECTION, "store calls that a run waits for, to the calls of models and tools", (each,), 1.0)


# ---- in the child -------------------------------------------------------------------------------------------------


def _service() -> Callable[..., Any]:
    # do(agency, kind, times) through the Lambda entry.
    from agency_lambda.testing.events import Context, rest_event
    from handler.api import handler

    def do(agency: str, kind: str, times: int) -> Took:
        body = {"input": "hello", "model": agency, "store": kind == "stored"}
        event = rest_event("POST", "/v1/responses", body)

        def invoke() -> None:
            answer = handler(event, Context(30))
            assert answer["statusCode"] == 200, answer

        return timed(invoke, times)

    return do


def _watched() -> Callable[..., Any]:
    # The same on a store that costs nothing, and what a run asks it: do(agency, "waiting", times).
    from benchmarks.slow_model import is_at_work, slow_down
    from benchmarks.watched_store import MemoryStore, WatchedStore, use

    store = WatchedStore(MemoryStore(), busy=is_at_work)
    use(store)
    invoke = _service()

    def do(agency: str, kind: str, times: int) -> Any:
        if kind != "waiting":
            return invoke(agency, kind, times)
        before, store.seconds = dict(store.counts), _STORE
        slow_down(_MODEL)
        invoke(agency, "stored", 1)
        slow_down(0)
        store.seconds = 0.0
        more = {what: count - before[what] for what, count in store.counts.items()}
        asked = {"reads": "reads", "writes": "writes", "waited for": "waits"}
        told = {f"store: {title}": more[what] for title, what in asked.items()}
        return {**told, "models and tools": _calls(agency)}

    return do


def _calls(agency: str) -> int:
    # Return how many answers of models and tools a run stores; a colleague's is that of its model.
    import asyncio

    from bench_agency import FACTORIES

    built = FACTORIES[agency]()
    asyncio.run(built.get_response("hello"))
    said = built.thread_manager.get_all_messages()
    calls = [item["name"] for item in said if item.get("type") == "function_call"]
    return (
        len(calls)
        + sum(name != "send_message" for name in calls)
        + sum(item.get("role") == "assistant" for item in said)
    )


def _direct() -> Callable[..., Any]:
    # do(agency, "plain", times): a fresh agency on one loop, and nothing of ours.
    import asyncio

    from bench_agency import FACTORIES

    loop = asyncio.new_event_loop()

    def do(agency: str, kind: str, times: int) -> Took:
        return timed(lambda: loop.run_until_complete(FACTORIES[agency]().get_response("hello")), times)

    return do


if __name__ == "__main__":
    serve({"service": _service, "watched": _watched, "direct": _direct}[sys.argv[1]])
