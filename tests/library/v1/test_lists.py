"""GET /v1/responses and /v1/conversations, /v1/responses/cancel, and the same for operators."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agency_lambda.store import Delete
from agency_lambda.testing.events import Context, http_event
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service

ASK = {"model": "letters", "input": "hello"}
FIELDS = {
    *("id", "object", "model", "status", "conversation", "background", "created_at", "completed_at", "ended_at"),
    *("usage", "attempts", "error_code"),
}


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(API_KEYS=api_keys())


def ask(service: Service, owner: str, **fields: Any) -> str:
    """The id of a new response."""
    status, made = service.post("/v1/responses", {**ASK, **fields}, **bearer(owner))
    assert status < 300, made
    return str(made["id"])


def listed(service: Service, owner: str, path: str = "/v1/responses") -> list[str]:
    status, page = service.get(path, **bearer(owner))
    assert status == 200, page
    return [item["id"] for item in page["data"]]


def work(service: Service, run_id: str) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker

    service.handler.run(worker.work(get_run_service(), run_id))


def test_list_has_the_owners_runs_newest_first_without_output(service: Service) -> None:
    first, second = ask(service, "ann"), ask(service, "ann", store=True)
    ask(service, "ann", store=False)
    theirs = ask(service, "bob")
    _, page = service.get("/v1/responses", **bearer("ann"))
    assert {**page, "data": ...} == {
        "object": "list",
        "data": ...,
        "first_id": second,
        "last_id": first,
        "has_more": False,
    }
    assert [item["id"] for item in page["data"]] == [second, first]
    _, response = service.get(f"/v1/responses/{second}", **bearer("ann"))
    item = page["data"][0]
    assert set(item) == FIELDS
    same = ("id", "object", "model", "status", "background", "created_at", "completed_at", "usage")
    assert {name: item[name] for name in same} == {name: response[name] for name in same}
    assert (item["status"], item["attempts"], item["error_code"]) == ("completed", 1, None)
    assert item["ended_at"] >= item["created_at"]
    assert listed(service, "bob") == [theirs]
    assert listed(service, "eve") == []


def test_pages_and_filters_are_query_parameters(service: Service) -> None:
    made = [ask(service, "ann") for _ in range(3)]
    _, page = service.get("/v1/responses?limit=2", **bearer("ann"))
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (made[:0:-1], True)
    assert listed(service, "ann", f"/v1/responses?limit=2&after={page['last_id']}") == made[:1]
    assert listed(service, "ann", f"/v1/responses?before={made[0]}&limit=1") == [made[1]]
    assert listed(service, "ann", "/v1/responses?order=asc") == made
    assert listed(service, "ann", "/v1/responses?status=failed") == []
    assert listed(service, "ann", "/v1/responses?status=completed&model=letters") == made[::-1]
    created = page["data"][0]["created_at"]
    assert listed(service, "ann", f"/v1/responses?created_after={created + 60}") == []
    assert listed(service, "ann", f"/v1/responses?created_before={created + 60}") == made[::-1]
    wrong = ("limit=0", "limit=101", "order=up", "status=x", "created_after=-1", "created_after=99999999999")
    for query in (*wrong, "after=resp_x", "before=conv_x", "owner=bob", f"model={'x' * 300}"):
        status, refused = service.get(f"/v1/responses?{query}", **bearer("ann"))
        assert (status, refused["error"]["param"]) == (400, query.partition("=")[0]), query


def test_ends_of_every_kind_are_in_the_list(service: Service) -> None:
    _, conversation = service.post("/v1/conversations", {}, **bearer("ann"))
    talks = ask(service, "ann", conversation=conversation["id"])
    waits, ends, deleted = (ask(service, "ann", background=True) for _ in range(3))
    assert service.post(f"/v1/responses/{ends}/cancel", None, **bearer("ann"))[1]["status"] == "cancelled"
    assert service.delete(f"/v1/responses/{deleted}", **bearer("ann"))[0] == 200
    _, page = service.get("/v1/responses", **bearer("ann"))
    statuses = {item["id"]: (item["status"], item["conversation"]) for item in page["data"]}
    assert statuses == {
        ends: ("cancelled", None),
        waits: ("queued", None),
        talks: ("completed", conversation["id"]),
    }
    work(service, waits)
    assert listed(service, "ann", "/v1/responses?status=completed") == [waits, talks]
    assert listed(service, "ann", f"/v1/responses?conversation={conversation['id']}") == [talks]
    for run_id in (talks, waits, ends):
        assert service.delete(f"/v1/responses/{run_id}", **bearer("ann"))[0] == 200
    assert listed(service, "ann") == []


def test_run_that_fails_is_listed_with_its_reason(start: Callable[..., Service]) -> None:
    service = start(MAX_MODEL_CALLS="1")
    status, failed = service.post("/v1/responses", {**ASK, "input": "Client Nordwind asks about a date."})
    (item,) = service.get("/v1/responses?status=failed")[1]["data"]
    assert (status, failed["error"]["code"], item["error_code"]) == (400, "run_limit_exceeded", "run_limit_exceeded")
    assert (item["completed_at"], item["ended_at"] >= item["created_at"]) == (None, True)


def test_all_runs_of_an_owner_are_cancelled_and_no_others(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    done = ask(service, "ann")
    mine = [ask(service, "ann", background=True) for _ in range(3)]
    theirs = ask(service, "bob", background=True)
    monkeypatch.setattr("agency_lambda.runs.cancellation.MOST_RUNS", 2)
    status, page = service.post("/v1/responses/cancel", None, **bearer("ann"))
    assert (status, page["has_more"]) == (200, True)
    assert [(item["id"], item["status"]) for item in page["data"]] == [(each, "cancelled") for each in mine[:2]]
    _, page = service.post("/v1/responses/cancel", {}, **bearer("ann"))
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (mine[2:], False)
    _, page = service.post("/v1/responses/cancel", None, **bearer("ann"))
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert listed(service, "ann", "/v1/responses?status=cancelled") == mine[::-1]
    assert listed(service, "ann", "/v1/responses?status=completed") == [done]
    assert listed(service, "bob", "/v1/responses?status=queued") == [theirs]


def test_run_that_another_process_holds_is_cancelled_when_that_sees_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs.leases import Leases

    monkeypatch.setattr("agency_lambda.runs.cancellation._TIMEOUT", 1.0)
    held, free = (ask(service, "ann", background=True) for _ in range(2))
    service.handler.run(Leases(get_run_service().store).take(held, "another process"))
    _, page = service.post("/v1/responses/cancel", None, **bearer("ann"))
    assert {item["id"]: item["status"] for item in page["data"]} == {held: "queued", free: "cancelled"}
    answer = service.handler(http_event("POST", f"/v1/admin/responses/{held}/cancel", **bearer("eve")), Context(60))
    assert (answer["statusCode"], answer["headers"]["location"]) == (202, f"/v1/admin/responses/{held}")
    lease = service.handler.run(Leases(get_run_service().store).find(held))
    assert lease.cancelled


def test_operator_finds_owners_whose_row_is_gone(service: Service) -> None:
    """As when the store's file is replaced under a running process."""
    from agency_lambda.run_service import get_run_service

    made = ask(service, "ann")
    service.handler.run(get_run_service().store.write(Delete("owners", "ann")))
    assert listed(service, "eve", "/v1/admin/responses") == [made]
    status, found = service.get(f"/v1/admin/responses/{made}", **bearer("eve"))
    assert (status, found["owner"]) == (200, "ann")


def test_operator_lists_runs_of_every_owner_or_of_one(service: Service) -> None:
    made = [ask(service, owner) for owner in ("ann", "bob", "ann", "bob", "bob")]
    pages = list(admin_pages(service, "/v1/admin/responses?limit=2"))
    assert [item["id"] for page in pages for item in page] == made[::-1]
    assert [item["owner"] for page in pages for item in page] == ["bob", "bob", "ann", "bob", "ann"]
    assert set(pages[0][0]) == {*FIELDS, "owner", "by_model"}
    assert listed(service, "eve", "/v1/admin/responses?owner=ann&status=completed") == [made[2], made[0]]
    assert listed(service, "eve", "/v1/admin/responses?owner=nobody") == []
    assert service.get("/v1/admin/responses", **bearer("ann"))[0] == 403


def admin_pages(service: Service, path: str) -> Iterator[list[dict[str, Any]]]:
    after = ""
    while True:
        _, page = service.get(path + after, **bearer("eve"))
        yield page["data"]
        if not page["has_more"]:
            return
        after = f"&after={page['last_id']}"


def test_operator_cancels_all_runs_of_an_owner(service: Service) -> None:
    hers, his = ask(service, "ann", background=True), ask(service, "bob", background=True)
    for query, status in (("", 400), ("?owner=", 400), ("?owner=a%2Fb", 400), ("?owner=ann", 200)):
        assert service.post(f"/v1/admin/responses/cancel{query}", None, **bearer("eve"))[0] == status, query
    assert listed(service, "ann", "/v1/responses?status=cancelled") == [hers]
    assert listed(service, "bob", "/v1/responses?status=queued") == [his]


def test_conversations_are_listed_newest_first_with_their_metadata(service: Service) -> None:
    made = [service.post("/v1/conversations", {"metadata": {"n": str(n)}}, **bearer("ann"))[1] for n in range(3)]
    service.post("/v1/conversations", {}, **bearer("bob"))
    ids = [each["id"] for each in made]
    _, page = service.get("/v1/conversations?limit=2", **bearer("ann"))
    assert (page["data"], page["has_more"]) == (made[:0:-1], True)
    assert listed(service, "ann", f"/v1/conversations?after={page['last_id']}") == ids[:1]
    assert listed(service, "ann", f"/v1/conversations?before={ids[0]}&limit=1") == [ids[1]]
    assert listed(service, "ann", "/v1/conversations?order=asc") == ids
    service.post(f"/v1/conversations/{ids[1]}", {"metadata": {"n": "new"}}, **bearer("ann"))
    assert service.get("/v1/conversations", **bearer("ann"))[1]["data"][1]["metadata"] == {"n": "new"}
    assert service.delete(f"/v1/conversations/{ids[1]}", **bearer("ann"))[0] == 200
    assert listed(service, "ann", "/v1/conversations") == [ids[2], ids[0]]
    assert listed(service, "ann", f"/v1/conversations?after={ids[1]}") == [ids[0]]  # deleted, and still a place
    assert listed(service, "eve", "/v1/conversations") == []
    for other in ("letters%2Fnone", "conv_x"):
        status, refused = service.get(f"/v1/conversations?after={other}", **bearer("ann"))
        assert (status, refused["error"]["param"]) == (400, "after")


def test_thread_of_a_completion_is_a_conversation(service: Service) -> None:
    for thread in ("one", "two"):
        service.post("/completion", {"message": "hello", "thread_id": thread}, **bearer("ann"))
    found = listed(service, "ann", "/v1/conversations")
    assert sorted(found) == ["letters/one", "letters/two"]
    assert listed(service, "ann", f"/v1/conversations?after={found[0].replace('/', '%2F')}") == found[1:]


def test_conversation_of_an_earlier_version_is_listed_when_it_is_next_written(service: Service) -> None:
    from agency_lambda.history.conversations import Conversations, conversation_index
    from agency_lambda.run_service import get_run_service
    from agency_lambda.store import Delete

    _, made = service.post("/v1/conversations", {}, **bearer("ann"))
    store, conversations = get_run_service().store, Conversations(get_run_service().store, "ann")

    async def age() -> None:
        conversation = await conversations.get(made["id"])
        put = conversation.set_metadata({})
        del put.body["listed"]
        await store.write(put, Delete(conversation_index("ann"), conversation.entry_key))

    service.handler.run(age())
    assert listed(service, "ann", "/v1/conversations") == []
    ask(service, "ann", conversation=made["id"])
    assert listed(service, "ann", "/v1/conversations") == [made["id"]]


def test_a_list_is_a_route_of_its_own_behind_every_way_in(service: Service) -> None:
    event = http_event("HEAD", "/v1/responses", **bearer("ann"))
    assert service.handler(event, Context(60))["statusCode"] == 200
    assert service.send(http_event("DELETE", "/v1/responses", **bearer("ann")))[0] == 405
