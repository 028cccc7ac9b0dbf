"""/v1/webhooks: an owner sets where its events go, sees what was delivered, and nobody else's."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import OpenAI

from agency_lambda.testing.events import http_event
from tests.library.conftest import Service
from tests.library.v1.test_owners import ANN, BOB, EVE, KEYS, bearer
from tests.library.webhooks.receiver import Receiver, receiver

COMPLETED = ["response.completed"]


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(API_KEYS=KEYS)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


def put(service: Service, key: str = ANN, **body: Any) -> tuple[int, Any]:
    return service.send(http_event("PUT", "/v1/webhooks", {"events": COMPLETED, **body}, **bearer(key)))


def deliver(service: Service) -> None:
    """Do what the worker does with the messages that are queued."""
    from agency_lambda.run_service import get_run_service

    runs: Any = get_run_service()
    while received := runs.queue.take():
        service.handler.run(runs.deliverer.deliver(received[0]))


def respond(service: Service, key: str = ANN, **body: Any) -> str:
    status, response = service.post("/v1/responses", {"model": "letters", "input": "hello", **body}, **bearer(key))
    assert status == 200, response
    return str(response["id"])


def deliveries(service: Service, query: str = "", key: str = ANN) -> Any:
    return service.get(f"/v1/webhooks/deliveries{query}", **bearer(key))[1]


def test_secret_is_shown_when_it_is_made_and_never_again(service: Service) -> None:
    status, made = put(service, url="http://localhost/a")
    assert (status, made["object"], made["secret"][:6]) == (200, "webhook", "whsec_")
    public = {name: value for name, value in made.items() if name != "secret"}
    assert public.keys() == {"object", "url", "events", "created_at"}
    assert service.get("/v1/webhooks", **bearer(ANN)) == (200, public)
    events = ["response.failed", "response.completed", "response.failed"]
    assert put(service, url="http://localhost/b", events=events) == (
        200,
        {**public, "url": "http://localhost/b", "events": events[:2]},
    )
    _, rotated = put(service, url="http://localhost/b", rotate_secret=True)
    assert rotated["secret"] not in ("", made["secret"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"url": "ftp://localhost/"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": f"http://localhost/{2048 * 'a'}"}, "url"),
        ({"url": 1}, "url"),
        ({}, "url"),
        ({"url": "http://localhost/", "events": []}, "events"),
        ({"url": "http://localhost/", "events": ["response.created"]}, "events[0]"),
        ({"url": "http://localhost/", "events": 6 * COMPLETED}, "events"),
        ({"url": "http://localhost/", "rotate_secret": "yes"}, "rotate_secret"),
    ],
)
def test_what_cannot_be_set_is_refused_by_name(service: Service, body: dict[str, Any], param: str) -> None:
    status, answer = put(service, **body)
    assert (status, answer["error"]["param"]) == (400, param)
    assert service.get("/v1/webhooks", **bearer(ANN))[0] == 404


def test_end_of_a_run_is_delivered_without_its_content(service: Service, hook: Receiver) -> None:
    secret = put(service, url=hook.url)[1]["secret"]
    response = respond(service)
    deliver(service)
    ((_, headers, body),) = hook.received
    event: Any = OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)
    assert (event.type, event.data.id) == ("response.completed", response)
    assert json.loads(body).keys() == {"id", "object", "created_at", "type", "data"}
    assert json.loads(body)["data"] == {"id": response}
    (found,) = deliveries(service)["data"]
    assert (found["id"], found["response_id"], found["status"]) == (event.id, response, "delivered")
    assert (found["attempts"], found["last_status"], found["next_attempt_at"]) == (1, 200, None)


def test_ends_that_are_not_asked_for_and_runs_that_are_not_stored_are_not_delivered(
    service: Service, hook: Receiver
) -> None:
    put(service, url=hook.url, events=["response.failed"])
    respond(service)
    put(service, url=hook.url)
    respond(service, store=False)
    deliver(service)
    assert (hook.received, deliveries(service)["data"]) == ([], [])


def test_each_secret_signs_for_a_day_after_the_next_one_was_made(
    service: Service, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(service, url=hook.url)[1]["secret"]
    new = put(service, url=hook.url, rotate_secret=True)[1]["secret"]
    respond(service)
    deliver(service)
    _, headers, body = hook.received[0]
    for secret in (old, new):
        OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)
    monkeypatch.setattr("agency_lambda.webhooks.endpoints._OVERLAP", 0)
    newest = put(service, url=hook.url, rotate_secret=True)[1]["secret"]
    respond(service)
    deliver(service)
    _, headers, body = hook.received[1]
    OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=newest)
    assert len(headers["webhook-signature"].split()) == 1


def test_owners_have_their_own_webhook_and_deliveries(service: Service, hook: Receiver) -> None:
    put(service, url=hook.url)
    respond(service)
    respond(service, key=BOB)
    deliver(service)
    (mine,) = deliveries(service)["data"]
    assert len(hook.received) == 1
    for other in (BOB, EVE):  # an operator's own, too
        assert service.get("/v1/webhooks", **bearer(other))[0] == 404
        assert service.delete("/v1/webhooks", **bearer(other))[0] == 404
        assert deliveries(service, key=other)["data"] == []
    put(service, BOB, url=hook.url)
    path = f"/v1/webhooks/deliveries/{mine['id']}/redeliver"
    assert service.post(path, None, **bearer(BOB))[0] == 404
    assert deliveries(service, f"?after={mine['id']}", key=BOB)["data"] == []
    deliver(service)
    assert len(hook.received) == 1
    assert service.post(path, None, **bearer(ANN))[0] == 200
    deliver(service)
    assert hook.ids == [mine["id"]] * 2


def test_deliveries_are_listed_newest_first_in_pages(service: Service, hook: Receiver) -> None:
    put(service, url=hook.url)
    responses = [respond(service) for _ in range(5)]
    whole = deliveries(service)
    assert [each["response_id"] for each in whole["data"]] == responses[::-1]
    assert (whole["has_more"], {each["status"] for each in whole["data"]}) == (False, {"pending"})
    first = deliveries(service, "?limit=2")
    second = deliveries(service, f"?limit=2&after={first['last_id']}")
    third = deliveries(service, f"?limit=2&after={second['last_id']}")
    assert [first["data"], second["data"], third["data"]] == [whole["data"][:2], whole["data"][2:4], whole["data"][4:]]
    assert (first["has_more"], second["has_more"], third["has_more"]) == (True, True, False)
    assert [each["response_id"] for each in deliveries(service, "?order=asc")["data"]] == responses
    status, answer = service.get("/v1/webhooks/deliveries?after=resp_1", **bearer(ANN))
    assert (status, answer["error"]["param"]) == (400, "after")


def test_redelivery_needs_a_webhook_that_takes_the_event(service: Service, hook: Receiver) -> None:
    put(service, url=hook.url)
    respond(service)
    deliver(service)
    path = f"/v1/webhooks/deliveries/{hook.ids[0]}/redeliver"
    put(service, url=hook.url, events=["response.failed"])
    assert service.post(path, None, **bearer(ANN))[0] == 400
    assert service.delete("/v1/webhooks", **bearer(ANN)) == (200, {"object": "webhook", "deleted": True})
    assert service.post(path, None, **bearer(ANN))[0] == 404
    respond(service)
    deliver(service)
    assert len(hook.received) == 1
