"""Another owner's things are a 404 everywhere: walked along the route table."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.routing import APIRoute

from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service

ANN, BOB, EVE = "al_ann", "al_bob", "al_eve"  # Eve is an operator
ROLES = {"ann": "", "bob": "", "eve": ":operator"}
KEYS = ",".join(f"{name}:{hashlib.sha256(f'al_{name}'.encode()).hexdigest()}{role}" for name, role in ROLES.items())
ASK = {"model": "letters", "input": "hello"}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(API_KEYS=KEYS)


def routes() -> list[tuple[str, str]]:
    from agency_lambda.app import create_app

    def walk(router: Any, prefix: str = "") -> Any:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield from ((method, prefix + route.path) for method in sorted(route.methods or ()))
            elif hasattr(route, "original_router"):
                yield from walk(route.original_router, prefix)

    return sorted(set(walk(create_app())))


ADMIN = [(method, path) for method, path in routes() if path.startswith("/v1/admin/")]
OWNED = [
    (method, path)
    for method, path in routes()
    if re.search(r"\{(response|conversation|item)_id\}", path) and (method, path) not in ADMIN
]


def test_the_walk_meets_every_kind_of_thing() -> None:
    assert len(OWNED) == 12
    assert len(ADMIN) >= 2
    assert {path.split("/")[2] for _, path in OWNED} == {"responses", "conversations"}


@pytest.mark.parametrize(("method", "path"), OWNED)
def test_another_owners_things_are_not_there(service: Service, method: str, path: str) -> None:
    _, conversation = service.post("/v1/conversations", {"items": [{"role": "user", "content": "mine"}]}, **bearer(ANN))
    _, listed = service.get(f"/v1/conversations/{conversation['id']}/items", **bearer(ANN))
    events = {**ASK, "conversation": conversation["id"], "stream": True}
    streamed = service.handler(http_event("POST", "/v1/responses", events, **bearer(ANN)), Context(60))["body"]
    response = json.loads(streamed.split("data: ")[1].split("\n")[0])["response"]
    ids = {"response_id": response["id"], "conversation_id": conversation["id"], "item_id": listed["data"][0]["id"]}
    url = path.format(**ids)
    body = {"items": [{"role": "user", "content": "x"}]} if path.endswith("items") else {"metadata": {}}
    sent = body if method == "POST" and not path.endswith("cancel") else None
    for query in ("", "?stream=true") if method == "GET" and path.endswith("{response_id}") else ("",):
        nobody = path.format(response_id="resp_x", conversation_id="conv_x", item_id="msg_x")
        for other in (BOB, EVE):  # an operator is a caller like any, but under /v1/admin
            status, theirs = service.send(http_event(method, url + query, sent, **bearer(other)))
            assert status == 404, (method, path)
            _, none = service.send(http_event(method, nobody + query, sent, **bearer(other)))
            assert {**theirs["error"], "message": ""} == {**none["error"], "message": ""}
    assert service.handler(http_event(method, url, sent, **bearer(ANN)), Context(60))["statusCode"] == 200


@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_admin_route_is_for_operators_and_leaves_a_log_line(
    service: Service, capsys: pytest.CaptureFixture[str], method: str, path: str
) -> None:
    _, response = service.post("/v1/responses", ASK, **bearer(ANN))
    for given in ("", "?owner=ann"):
        url = path.format(response_id=response["id"], owner="ann") + ("" if "{owner}" in path else given)
        for key in (ANN, BOB):
            status, refused = service.send(http_event(method, url, **bearer(key)))
            assert (status, refused["error"]["code"]) == (403, "operator_required")
        assert operator_lines(capsys) == []
        service.send(http_event(method, url, **bearer(EVE)))
        (line,) = operator_lines(capsys)
        known = "ann" if given or "{" in path else None
        assert (line["operator"], line["owner"]) == ("eve", known)
        assert line["response_id"] == (response["id"] if "{response_id}" in path else None)
        assert line["action"]


def operator_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line for line in lines if "operator" in line and line["action"] != "limits_changed"]


def test_operator_sees_and_cancels_runs_of_every_owner(service: Service) -> None:
    for key in (ANN, BOB):
        _, response = service.post("/v1/responses", ASK, **bearer(key))
        status, seen = service.get(f"/v1/admin/responses/{response['id']}", **bearer(EVE))
        assert (status, seen) == (200, {**response, "owner": key.removeprefix("al_")})
        other = "bob" if key == ANN else "ann"
        assert service.get(f"/v1/admin/responses/{response['id']}?owner={other}", **bearer(EVE))[0] == 404
        _, queued = service.post("/v1/responses", {**ASK, "background": True}, **bearer(key))
        status, ended = service.post(f"/v1/admin/responses/{queued['id']}/cancel", None, **bearer(EVE))
        assert (status, ended["status"]) == (200, "cancelled")
        assert service.get(f"/v1/responses/{queued['id']}", **bearer(key))[1]["status"] == "cancelled"
    for path in ("resp_x", "resp%2Fx", "x?owner=nobody"):
        assert service.get(f"/v1/admin/responses/{path}", **bearer(EVE))[0] == 404
    assert service.get(f"/v1/admin/responses/{response['id']}?owner=a%2Fb", **bearer(EVE))[0] == 400


def test_on_this_machine_without_keys_everyone_is_an_operator(start: Callable[..., Service]) -> None:
    service = start()
    _, response = service.post("/v1/responses", ASK)
    assert service.get(f"/v1/admin/responses/{response['id']}")[1]["owner"] == "local"


@pytest.mark.parametrize("field", ["previous_response_id", "conversation"])
def test_nobody_continues_what_another_said(service: Service, field: str) -> None:
    _, conversation = service.post("/v1/conversations", {}, **bearer(ANN))
    _, response = service.post("/v1/responses", ASK, **bearer(ANN))
    mine = {"previous_response_id": response["id"], "conversation": conversation["id"]}[field]
    for path in ("/v1/responses", "/v1/responses/compact"):
        if path.endswith("compact") and field == "conversation":
            continue
        assert service.post(path, {**ASK, field: mine}, **bearer(BOB))[0] == 404
        assert service.post(path, {**ASK, field: mine}, **bearer(ANN))[0] == 200


def test_nobody_refers_to_an_item_of_another(service: Service) -> None:
    _, response = service.post("/v1/responses", ASK, **bearer(ANN))
    given = [{"type": "item_reference", "id": response["output"][-1]["id"]}, {"role": "user", "content": "go on"}]
    assert service.post("/v1/responses", {**ASK, "input": given}, **bearer(BOB))[0] == 404
    assert service.post("/v1/responses", {**ASK, "input": given}, **bearer(ANN))[0] == 200


def test_a_thread_and_an_idempotency_key_are_each_owners_own(service: Service) -> None:
    body = {"message": "hello", "thread_id": "same"}
    answers = [
        service.post("/completion", body, **bearer(key), **{"idempotency-key": "same"})[1] for key in (ANN, BOB, ANN)
    ]
    assert answers[0] == answers[2]
    assert answers[0]["run_id"] != answers[1]["run_id"]
    _, later = service.post("/completion", body, **bearer(ANN))
    assert later["usage"]["input_tokens"] > answers[1]["usage"]["input_tokens"]  # Bob began without Ann's history


def test_an_owner_whose_name_begins_like_anothers_sees_nothing(start: Callable[..., Service]) -> None:
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("ann", "ann.b")}
    service = start(API_KEYS=",".join(f"{name}:{digest}" for name, digest in digests.items()))
    _, response = service.post("/v1/responses", ASK, **bearer("ann.b"))
    assert service.get(f"/v1/responses/{response['id']}", **bearer("ann"))[0] == 404
