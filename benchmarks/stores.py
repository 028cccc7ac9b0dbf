"""Both stores through their one contract: SQLite in a file, and DynamoDB, whose speed is moto's here, not AWS's."""

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.child import Child, serve
from benchmarks.results import Measured, Series
from benchmarks.timing import percentile, timed

SECTION = "Stores"
_OPERATIONS = ("put", "put if absent", "put over a version", "write of 3", "get", "query of 20")
_BODY = {"response": {"id": "resp_1", "output": ["When does the crew come to Stuttgart? "] * 40}}


def measure(*, quick: bool) -> Measured:
    """Milliseconds of wall and CPU (of our process) of each operation."""
    rounds, block = (5, 10) if quick else (10, 20)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        table = stack.enter_context(Child("benchmarks.table"))
        sqlite = stack.enter_context(Child(__name__, STORE=f"sqlite:///{folder}/agency.db"))
        name, environment = table.ask()
        moto = stack.enter_context(Child(__name__, STORE=f"dynamodb://{name}", **environment))
        children = {"SQLite": sqlite, "DynamoDB (moto's speed)": moto}
        took = _take_turns(children, rounds, block)
    return [
        Series(SECTION, f"{subject}, {operation}", f"{metric} p{percent}", "ms", values)
        for (subject, operation), blocks in took.items()
        for metric, percent in (("wall", 50), ("wall", 99), ("CPU", 50))
        if (values := tuple(percentile(block[metric], percent) for block in blocks))
    ], []


def _take_turns(children: dict[str, Child], rounds: int, block: int) -> dict[tuple[str, str], list[dict[str, Any]]]:
    took: dict[tuple[str, str], list[dict[str, Any]]] = {(s, o): [] for o in _OPERATIONS for s in children}
    for subject, operation in took:
        children[subject].ask(operation, 2)
    for _ in range(rounds):
        for (subject, operation), blocks in took.items():
            blocks.append(children[subject].ask(operation, block))
    return took


# ---- in the child -------------------------------------------------------------------------------------------------


def _store() -> Callable[[str, int], Any]:
    # do(operation, times).
    import asyncio
    import itertools

    from agency_lambda.settings import get_settings
    from agency_lambda.store import ABSENT, Put, open_store

    loop, store, number = asyncio.new_event_loop(), open_store(get_settings().store), itertools.count()
    versions = [""]

    def over_version() -> Put:
        put = Put("versions", "one", _BODY, expected=versions[0] or ABSENT)
        versions[0] = put.version
        return put

    def new(**more: Any) -> Put:
        return Put("many", f"{next(number):09d}", _BODY, **more)

    operations: dict[str, Callable[[], Awaitable[Any]]] = {
        "put": lambda: store.write(new()),
        "put if absent": lambda: store.write(new(expected=ABSENT)),
        "put over a version": lambda: store.write(over_version()),
        "write of 3": lambda: store.write(new(), new(expected=ABSENT), over_version()),
        "get": lambda: store.get("many", "000000001"),
        "query of 20": lambda: store.query("many", limit=20),
    }

    return lambda operation, times: timed(lambda: loop.run_until_complete(operations[operation]()), times)


if __name__ == "__main__":
    serve(_store)
