"""One conversation that grows to 500 turns: what a turn reads and writes."""

# Each turn is a run; where it has to be quick, a client adds those between the measured ones. What a turn costs beside
# its peers is in benchmarks/beside.

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.child import Child, serve
from benchmarks.results import Measured, Ratio, Series, ratio
from benchmarks.timing import timed

SECTION = "A conversation that grows"
_MESSAGE = "When does the crew come to Stuttgart, and who brings the parts?"
_ANSWER = "Dear Nordwind, the crew comes on Monday at eight."
_TURNS = {"SQLite": (5, 50, 500), "DynamoDB": (5, 50)}
_ROUND = 5  # turns, from the one that is named on
_COUNTS = ("reads", "writes", "records", "bytes")

Turn = dict[str, float]  # "CPU", and each of _COUNTS


def measure(*, quick: bool) -> Measured:
    """Bytes, records, writes, reads and CPU of a turn, about turns 5, 50 and 500 (DynamoDB: 5 and 50)."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        table = stack.enter_context(Child("benchmarks.table"))
        sqlite = stack.enter_context(Child(__name__, STORE=f"sqlite:///{folder}/agency.db"))
        name, environment = table.ask()
        dynamodb = stack.enter_context(Child(__name__, STORE=f"dynamodb://{name}", **environment))
        turns = _take_turns({"SQLite": sqlite, "DynamoDB": dynamodb}, quick)
    series = {
        (subject, turn, metric): Series(SECTION, f"{subject}, turn {turn}", metric, _unit(metric), values)
        for (subject, turn), told in turns.items()
        for metric in told[0]
        if (values := tuple(each[metric] for each in told))
    }
    return list(series.values()), _ratios(series)


def _take_turns(children: dict[str, Child], quick: bool) -> dict[tuple[str, int], list[Turn]]:
    # (subject, turn) -> that turn and the next ones.
    turns: dict[tuple[str, int], list[Turn]] = {}
    for turn in (5, 50, 500):
        subjects = [subject for subject in children if turn in _TURNS[subject]]
        for subject in subjects:
            turns[subject, turn] = []
            children[subject].ask("add" if quick else "run", turn - 1)
        for number in range(turn, turn + _ROUND):
            for subject in subjects:
                turns[subject, turn] += children[subject].ask("run", number)
    return turns


def _unit(metric: str) -> str:
    return {"CPU": "ms", "bytes": "bytes"}.get(metric, "count")


def _ratios(series: dict[tuple[str, int, str], Series]) -> list[Ratio]:
    made = []
    for subject in ("SQLite", "DynamoDB"):
        first, *_, last = _TURNS[subject]
        for metric in _COUNTS:
            late, early = series[subject, last, metric], series[subject, first, metric]
            made.append(
                ratio(SECTION, f"{metric} of turn {last} to those of turn {first}, {subject}", late, early, 1.05)
            )
    return made


# ---- in the child -------------------------------------------------------------------------------------------------


def _service() -> Callable[[str, int], list[Turn]]:
    from agency_lambda.settings import get_settings
    from agency_lambda.store import open_store
    from benchmarks.watched_store import WatchedStore, use

    store = WatchedStore(open_store(get_settings().store), weigh=True)
    use(store)
    from agency_lambda.testing.events import Context, rest_event
    from handler.api import handler

    def post(path: str, body: Any) -> Any:
        answer = handler(rest_event("POST", path, body), Context(30))
        assert answer["statusCode"] == 200, answer
        return json.loads(answer["body"])

    conversation = post("/v1/conversations", {})["id"]
    request = {"model": "one", "input": _MESSAGE}

    def turn() -> Turn:
        before = dict(store.counts)
        took = timed(lambda: post("/v1/responses", {**request, "conversation": conversation}), 1)["CPU"][0]
        counts = {name: store.counts[name] - before[name] for name in ("reads", "writes", "records")}
        return {"CPU": took, **counts, "bytes": store.weight()}

    def add() -> None:
        post(f"/v1/conversations/{conversation}/items", {"items": _said()})
        store.weight()

    post("/v1/responses", request)  # what is made by the first
    store.weight()
    return _growing(turn, add)


def _growing(turn: Callable[[], Turn], add: Callable[[], None]) -> Callable[[str, int], list[Turn]]:
    # do(how, until): the turns up to that one, each a run ("run"), or said by a client ("add"); returns the runs'.
    number = 0

    def do(how: str, until: int) -> list[Turn]:
        nonlocal number
        times, number = until - number, until
        if how == "run":
            return [turn() for _ in range(times)]
        for _ in range(times):
            add()
        return []

    return do


def _said() -> list[dict[str, Any]]:
    said = {"user": ("input_text", _MESSAGE), "assistant": ("output_text", _ANSWER)}
    return [
        {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        for role, (kind, text) in said.items()
    ]


if __name__ == "__main__":
    serve(_service)
