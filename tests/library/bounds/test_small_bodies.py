"""What is over a bound is refused by its name, at once, with little memory, and with a short answer."""

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agency_lambda.testing.events import Context, http_event
from tests.library.bounds import bodies
from tests.library.bounds.bodies import OVER, WRONG
from tests.library.conftest import Service


@pytest.fixture(scope="module")
def one_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORE", f"sqlite:///{tmp_path_factory.mktemp('store')}/agency.db")
        service = Service("patch")
        service.post("/v1/responses", bodies.ASK)  # what is imported by the first request
        yield service
        service.handler.close()


def cpu(call: Callable[[], Any]) -> float:
    """Seconds of the best of some times: what other processes do meanwhile does not count."""
    took = []
    for _ in range(3):
        began = time.process_time()
        call()
        took.append(time.process_time() - began)
    return min(took)


@pytest.fixture(scope="module")
def parsing() -> float:
    """Seconds of CPU to parse an accepted body of 1 MB, of many values."""
    items = [{"role": "user", "content": [{"type": "input_text", "text": f"{n:0430d}"}] * 2} for n in range(1_000)]
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(9_000)}}
    tool = {"type": "function", "name": "f", "parameters": schema}
    body = json.dumps({"model": "letters", "input": items, "tools": [tool]})
    assert len(body) > 1_000_000
    return cpu(lambda: json.loads(body))


@pytest.mark.parametrize("name", OVER)
def test_what_is_over_a_bound_is_refused_at_once(one_service: Service, parsing: float, name: str) -> None:
    path, body, param, said = OVER[name]
    event = http_event("POST", path, body.decode() if isinstance(body, bytes) else body)
    answer = one_service.handler(event, Context(60))
    assert answer["statusCode"] == (404 if param == "previous_response_id" else 400)
    error = json.loads(answer["body"])["error"]
    assert error.get("param") == param
    assert said in error["message"]
    assert len(answer["body"]) < 3000
    took = cpu(lambda: one_service.handler(event, Context(60)))
    assert took < 15 * parsing


@pytest.mark.parametrize("name", WRONG)
def test_many_mistakes_within_the_bounds_hold_the_loop_for_little(
    one_service: Service, parsing: float, name: str
) -> None:
    path, body, said = WRONG[name]
    event = http_event("POST", path, body)
    answer = one_service.handler(event, Context(60))
    assert (answer["statusCode"], said in answer["body"]) == (422, True), answer["body"]
    took = cpu(lambda: one_service.handler(event, Context(60)))
    assert took < 25 * parsing


@pytest.mark.parametrize("name", OVER)
def test_what_is_over_a_bound_takes_little_memory(one_service: Service, name: str) -> None:
    path, body, *_ = OVER[name]
    event = http_event("POST", path, body.decode() if isinstance(body, bytes) else body)
    tracemalloc.start()
    one_service.handler(event, Context(60))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000 + 6 * len(event["body"])
