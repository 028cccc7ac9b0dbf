"""What one execution environment holds while it answers 2,000 mixed requests, after 200 to warm up."""

import itertools
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.child import Child, serve
from benchmarks.results import Measured, Ratio, Series

SECTION = "Memory"
_UNITS = {"RSS": "MB"}
_GOALS = {"RSS": 1.02, "descriptors": 1.0, "threads": 1.0, "tasks": 1.0, "objects": 1.01}


def measure(*, quick: bool) -> Measured:
    """RSS, descriptors, threads, tasks and objects at eleven moments; and at the end to half-way."""
    warm_up, more, blocks = (100, 30, 10) if quick else (200, 200, 10)
    with tempfile.TemporaryDirectory() as folder, Child(__name__, STORE=f"sqlite:///{folder}/agency.db") as child:
        held = [child.ask(warm_up), *(child.ask(more) for _ in range(blocks))]
    series = [
        Series(SECTION, f"agency-lambda, {blocks * more} mixed requests", what, _UNITS.get(what, "count"), values)
        for what in held[0]
        if (values := tuple(each[what] for each in held))
    ]
    half = len(held) // 2
    grown = {each.metric: each.values[-1] / each.values[half] for each in series}
    return series, [
        Ratio(SECTION, f"{what} after {blocks * more} requests to after {half * more}", (grown[what],), _GOALS[what])
        for what in grown
    ]


# ---- in the child -------------------------------------------------------------------------------------------------


def _environment() -> Callable[[int], dict[str, float]]:
    # Return do(times), which makes so many requests more, of every kind in turn.
    import logging

    from benchmarks.vitals import vitals
    from handler.api import environment

    logging.disable(logging.CRITICAL)  # failures are meant here
    kinds = itertools.cycle(_requests(environment))

    def do(times: int) -> dict[str, float]:
        for kind in itertools.islice(kinds, times):
            kind()
        return vitals(environment.loop)

    return do


def _requests(environment: Any) -> list[Callable[[], None]]:
    from agency_lambda.testing.events import Context, rest_event

    async def drop(message: Any) -> None:
        pass

    def post(**body: Any) -> dict[str, Any]:
        return rest_event("POST", "/v1/responses", {"input": "hello", "model": "one", **body})

    def invoke(event: dict[str, Any], status: int) -> None:
        answer = environment(event, Context(30))
        assert answer["statusCode"] == status, answer

    return [
        lambda: invoke(post(store=False), 200),
        lambda: invoke(post(), 200),
        lambda: environment.stream(post(stream=True), Context(30), drop),
        lambda: environment.stream(post(stream=True, store=False), Context(30), drop),
        lambda: invoke(rest_event("POST", "/completion", {"message": "hello", "agency": "bench"}), 200),
        lambda: invoke(post(model="nobody"), 404),
        lambda: invoke(post(unknown=1), 400),
        lambda: invoke(rest_event("GET", "/nowhere"), 404),
        lambda: invoke(rest_event("GET", "/health"), 200),
    ]


if __name__ == "__main__":
    serve(_environment)
