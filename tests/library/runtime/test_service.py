"""The service itself, streamed: what a model says is on its way before it has finished."""

import json
import threading
import time

from agency_lambda.testing.events import rest_event
from agency_lambda.testing.service import read_events
from tests.library.conftest import QUESTION
from tests.library.model_server import ModelServer
from tests.library.runtime.conftest import Start
from tests.library.runtime.environments import KEY

ASK = {"model": "letters", "input": QUESTION, "stream": True}
KEYED = {"authorization": f"Bearer {KEY}"}


def test_what_the_model_has_said_leaves_while_it_goes_on(start: Start) -> None:
    hold = threading.Event()
    with ModelServer(["Dear Nordwind, the crew comes on Monday."], hold=hold) as server:
        environment = start("handler.stream.handler", OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        invocation = environment.api.begin(rest_event("POST", "/v1/responses", ASK, **KEYED))
        for _ in range(400):
            if any(b"response.output_text.delta" in data for _, data in invocation.chunks):
                break
            time.sleep(0.02)
        else:
            raise AssertionError(environment.log)
        assert not invocation.over.is_set()
        hold.set()
        events = read_events(invocation.wait().body.decode())
    assert events[-1]["type"] == "response.completed"
    assert len(invocation.chunks) == len(events) + 2  # the prelude, each event, [DONE]


def test_the_line_of_an_invocation_has_its_request_id_and_metrics(start: Start) -> None:
    environment = start("handler.stream.handler")
    invocation = environment.api.invoke(rest_event("POST", "/v1/responses", ASK, **KEYED), 60)
    line = next(line for line in environment.lines if line.get("request_id") == invocation.request_id)
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "AgencyLambda"
    assert (line["status"], line["leftovers"], line["zombies"]) == (200, [], [])


def test_an_error_of_the_service_names_the_request_by_lambdas_id(start: Start) -> None:
    environment = start("handler.stream.handler")
    invocation = environment.api.invoke(rest_event(path="/agencies"))
    assert invocation.status == 401
    assert json.loads(invocation.body)["error"]["request_id"] == invocation.request_id
    assert ("x-request-id", invocation.request_id) in invocation.pairs


def test_a_base_path_and_a_head_reach_the_streaming_client_too(start: Start) -> None:
    environment = start("handler.stream.handler", CORS_ORIGINS="https://app.example.com")
    headers = {**KEYED, "origin": "https://app.example.com"}
    for method, named, status in (("GET", True, 200), ("GET", False, 200), ("HEAD", True, 200), ("PUT", True, 405)):
        event = rest_event(method, "/agents/v1/models", **headers)
        event["requestContext"] |= {"path": "/agents/v1/models", "domainName": "api.example.com"}
        if named:  # as API Gateway has it
            event["pathParameters"] = {"proxy": "v1/models"}
        invocation = environment.api.invoke(event)
        pairs = dict(invocation.pairs)
        assert invocation.status == status
        assert (invocation.body == b"") == (method == "HEAD")
        assert pairs["x-request-id"] == invocation.request_id
        assert pairs["access-control-allow-origin"] == "https://app.example.com"
        assert pairs.get("allow") == ("GET, HEAD, OPTIONS" if status == 405 else None)
