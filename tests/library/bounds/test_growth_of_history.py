"""A conversation that has become too long is refused, by name, before it costs much; compacting it still works."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.history.turns import Turn as StoredResponse
from agency_lambda.protocol import bounds
from agency_lambda.protocol.items import encode_compaction, parse_items
from agency_lambda.runs import compaction
from agency_lambda.runs.stored_responses import Responses
from tests.library.bounds.bodies import MESSAGE, RESPONSES, call, text
from tests.library.conftest import Service
from tests.library.model_server import ModelServer

ASK = {"model": "letters/Registrar", "input": "hi"}


def refused(answer: tuple[int, Any]) -> bool:
    status, body = answer
    return status == 400 and body["error"]["code"] == "conversation_too_long"


@pytest.mark.parametrize(("bound", "most"), [("HISTORY_ITEMS", 9), ("HISTORY", 6_000)])
def test_what_is_too_long_is_not_continued(
    service: Service, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(bounds, bound, most)
    _, conversation = service.post("/v1/conversations", {})
    for body in ({"conversation": conversation["id"]}, {}):
        made: list[dict[str, Any]] = []
        for _ in range(8):
            before = {} if body or not made else {"previous_response_id": made[-1]["id"]}
            answer = service.post(RESPONSES, {**ASK, "input": "x" * 500, **body, **before})
            if answer[0] != 200:
                break
            made.append(answer[1])
        assert 1 < len(made) < 7
        assert refused(answer)
        assert "model_calls" not in service.report.fields
    status, compacted = service.post(f"{RESPONSES}/compact", {**ASK, "previous_response_id": made[-1]["id"]})
    assert status == 200
    assert service.respond([*compacted["output"], MESSAGE])["status"] == "completed"
    path = f"/v1/conversations/{conversation['id']}/items"
    assert service.get(f"{path}?limit=100")[0] == 200
    assert refused(service.post(path, {"items": [MESSAGE]}))


def test_what_clients_add_counts_without_a_run(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HISTORY_ITEMS", 50)
    _, conversation = service.post("/v1/conversations", {"items": [MESSAGE] * 20})
    path = f"/v1/conversations/{conversation['id']}/items"
    assert service.post(path, {"items": [MESSAGE] * 20})[0] == 200
    assert refused(service.post(path, {"items": [MESSAGE] * 20}))
    assert service.post(path, {"items": [MESSAGE] * 10})[0] == 200
    assert len(service.get(f"{path}?limit=100")[1]["data"]) == 50


def test_a_conversation_of_an_earlier_version_has_no_count(service: Service) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.store import Put

    _, conversation = service.post("/v1/conversations", {"items": [MESSAGE]})
    store, log = get_run_service().store, f"local/conversation/{conversation['id']}"
    head = service.handler.run(store.get(log, "head"))
    old = {name: value for name, value in head.body.items() if name not in ("items", "size")}
    service.handler.run(store.write(Put(log, "head", old)))
    assert service.post(f"/v1/conversations/{conversation['id']}/items", {"items": [MESSAGE]})[0] == 200


def test_a_response_that_is_referred_to_is_read_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    said = service.respond("Show task 101.")["output"][-1]
    reads, read = list[str](), Responses.get

    async def counted(self: Responses, response_id: str, param: str | None = None) -> Any:
        reads.append(response_id)
        return await read(self, response_id, param)

    monkeypatch.setattr(Responses, "get", counted)
    reference = {"type": "item_reference", "id": said["id"]}
    assert service.respond([*[reference] * 300, MESSAGE], store=False)["status"] == "completed"
    assert len(reads) == 1
    monkeypatch.setattr(bounds, "BODY", 200 * bounds.size(said))
    status, answer = service.post(RESPONSES, {**ASK, "input": [*[reference] * 300, MESSAGE]})
    assert (status, answer["error"]["param"]) == (400, "input[200]")


def test_responses_behind_the_bound_are_not_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [service.respond("Show task 101.")["output"][-1] for _ in range(8)]
    reads, read = list[str](), Responses.output

    async def counted(self: Responses, response_id: str) -> Any:
        reads.append(response_id)
        return await read(self, response_id)

    monkeypatch.setattr(Responses, "output", counted)
    monkeypatch.setattr(bounds, "BODY", 2 * max(map(bounds.size, said)))
    references = [{"type": "item_reference", "id": each["id"]} for each in said]
    status, answer = service.post(RESPONSES, {**ASK, "input": [*references, MESSAGE]})
    assert (status, answer["error"]["param"]) == (400, "input[2]")
    assert len(reads) == 3


def test_a_transcript_is_made_off_the_loop(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made, words = list[int](), compaction._words

    def noted(item: Any) -> str:
        made.append(threading.get_ident())
        return words(item)

    monkeypatch.setattr(compaction, "_words", noted)
    assert service.post(f"{RESPONSES}/compact", {**ASK, "input": [MESSAGE] * 5})[0] == 200
    assert made
    assert threading.get_ident() not in made


def test_a_compaction_of_a_compaction_keeps_its_summary(start: Any) -> None:
    old = encode_compaction("THE-OLD-SUMMARY", [{"role": "user", "content": "THE-LAST-WORDS"}])
    said = [old, *[{"role": "user", "content": f"question {number}"} for number in range(4)]]
    with ModelServer(lambda request: "THE-NEW-SUMMARY") as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        _, compacted = service.post(f"{RESPONSES}/compact", {**ASK, "input": said})
        asked = str(server.requests[0].body)
    assert "THE-OLD-SUMMARY" in asked
    assert "THE-LAST-WORDS" in asked
    [made] = compacted["output"]
    assert made["type"] == "compaction"
    assert parse_items([made])


def test_less_is_kept_word_for_word_where_it_could_not_be_sent_back(service: Service) -> None:
    long = {"role": "user", "content": "x" * 2_000_000}  # as a compaction it is small, and may not unpack to that
    for said in ([MESSAGE, long, MESSAGE], [MESSAGE, MESSAGE, long], [long]):
        status, compacted = service.post(f"{RESPONSES}/compact", {**ASK, "input": said})
        assert status == 200
        assert service.respond([*compacted["output"], MESSAGE], store=False)["status"] == "completed"


def parted(number: int) -> list[Any]:
    return [{"role": "user", "content": [text()] * 10}]


def answered(number: int) -> list[Any]:
    output = {"type": "function_call_output", "call_id": f"c{number}", "output": [text()] * 10}
    return [call(call_id=f"c{number}"), output]


def argued(number: int) -> list[Any]:
    arguments = '{"a": [' + "[]," * (5 * bounds.ARGUMENT_VALUES) + "0]}"
    output = {"type": "function_call_output", "call_id": f"c{number}", "output": "x"}
    return [call(call_id=f"c{number}", arguments=arguments), output]


@pytest.mark.parametrize("turn", [parted, answered, argued])
@pytest.mark.parametrize("how", ["items", "conversation", "previous_response_id", "earlier version"])
def test_what_is_within_items_counts_too(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str, turn: Callable[[int], list[Any]]
) -> None:
    monkeypatch.setattr(bounds, "HISTORY_PARTS", 45)
    _, conversation = service.post("/v1/conversations", {"items": turn(0)})
    path, before, made = f"/v1/conversations/{conversation['id']}/items", {}, 0
    if how == "earlier version":  # which has not counted
        monkeypatch.setattr(StoredResponse, "parts", 0)
    while made < 7:
        if how in ("items", "earlier version"):
            answer = service.post(path, {"items": turn(made + 1)})
        else:
            before = before if how == "previous_response_id" else {"conversation": conversation["id"]}
            answer = service.post(RESPONSES, {**ASK, "input": [*turn(made + 1), MESSAGE], **before})
            before = {"previous_response_id": answer[1].get("id")}
        if answer[0] != 200:
            break
        made += 1
    if how == "earlier version":
        assert made == 7
        monkeypatch.undo()
        monkeypatch.setattr(bounds, "HISTORY_PARTS", 45)
        answer = service.post(RESPONSES, {**ASK, "conversation": conversation["id"]})
    else:
        assert 2 < made < 6
    assert refused(answer)
