"""What a run has answered fits into an answer of Lambda's, or is refused when it is written; never a crash."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import to_json

from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import Turn
from agency_lambda.protocol import bounds
from agency_lambda.settings import get_settings
from agency_lambda.store import open_store
from agency_lambda.testing.events import Context, http_event, rest_event
from tests.library.bounds.bodies import MESSAGE, RESPONSES, function, user
from tests.library.conftest import Service
from tests.library.model_server import ModelServer
from tests.library.runtime_emulator import RuntimeEmulator, binary

LAMBDA = 6_291_556  # bytes that it takes as a whole answer
ASK = {"model": "letters/Registrar", "input": "hi"}
IMAGE = "data:image/png;base64," + "A" * 2_900_000
Start = Callable[..., Service]


@pytest.fixture(autouse=True)
def as_on_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")


@pytest.fixture
def ask(start: Start) -> Iterator[Callable[..., Any]]:
    """ask(words, method, path, body): (answer, its JSON or events) of a service whose model says these words."""
    words = [""]
    with ModelServer(lambda request: words[0]) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, MAX_OUTPUT_TOKENS="100000000")

        def send(said: str, method: str, path: str, body: Any = None) -> Any:
            words[0] = said
            answer = service.handler(http_event(method, path, body), Context(60))
            assert len(to_json(answer).encode()) <= LAMBDA
            if "event-stream" in answer["headers"]["content-type"]:
                chunks = answer["body"].split("\n\n")[:-2]
                return answer["statusCode"], [json.loads(chunk.partition("data: ")[2]) for chunk in chunks]
            return answer["statusCode"], json.loads(answer["body"])

        yield send


LARGE = {"long": "x" * 5_200_000, "quotes": '"' * 2_000_000, "other letters": "ж" * 2_600_000}


@pytest.mark.parametrize("words", LARGE.values(), ids=LARGE)
def test_an_output_that_could_not_be_read_back_fails_the_run(ask: Any, words: str) -> None:
    _, conversation = ask("", "POST", "/v1/conversations", {})
    body = {**ASK, "conversation": conversation["id"]}
    status, answer = ask(words, "POST", RESPONSES, body)
    assert (status, answer["error"]["code"]) == (500, "answer_too_large")
    status, events = ask(words, "POST", RESPONSES, {**body, "stream": True})
    assert status == 200
    made, requests = events[-1]["response"]["id"], 1
    while "resume" in events[-1]:  # also where one event has more than an answer
        status, events = ask("", "GET", events[-1]["resume"])
        assert status == 200
        requests += 1
    assert 1 < requests < 5
    assert events[-1]["type"] == "response.failed"
    status, response = ask("", "GET", f"{RESPONSES}/{made}")
    assert (status, response["status"], response["error"]["detail_code"]) == (200, "failed", "answer_too_large")
    assert ask("", "GET", f"/v1/conversations/{conversation['id']}/items")[1]["data"] == []
    assert ask("fine", "POST", RESPONSES, body)[1]["status"] == "completed"


@pytest.mark.parametrize("words", LARGE.values(), ids=LARGE)
def test_so_does_one_that_is_not_kept(ask: Any, words: str) -> None:
    for body in ({**ASK, "store": False}, {**ASK, "store": False, "stream": True}):
        status, answer = ask(words, "POST", RESPONSES, body)
        assert (status, answer["error"]["code"]) == (500, "answer_too_large")
    status, answer = ask(words, "POST", "/completion", {"message": "hi"})
    assert (status, answer["error"]["type"]) == (500, "answer_too_large")
    assert ask("fine", "POST", RESPONSES, ASK)[0] == 200


@pytest.mark.parametrize("unit", ["word ", '"\\\n', "жж "], ids=["words", "quotes", "letters"])
def test_a_stream_that_is_longer_than_an_answer_is_resumed(
    ask: Any, monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    monkeypatch.setattr(bounds, "ANSWER", 150_000)
    monkeypatch.setattr(bounds, "WITHOUT_OUTPUT", 20_000)
    monkeypatch.setattr(f"{__name__}.LAMBDA", 152_000)  # with headers
    words = unit * 5_000
    _, events = ask(words, "POST", RESPONSES, {**ASK, "stream": True})
    told, requests = list[Any](), 1
    while "resume" in events[-1]:
        *new, last = events
        told += new
        assert new
        assert last["sequence_number"] == told[-1]["sequence_number"]
        _, events = ask("", "GET", last["resume"])
        requests += 1
    told += events
    assert requests > 1
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert told[-1]["type"] == "response.completed"
    assert "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta") == words


def test_what_a_response_repeats_of_its_request_leaves_room_for_the_output(ask: Any) -> None:
    tools = [function(number, description="x" * 50_000) for number in range(20)]
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object", "description": "x" * 950_000}}
    for field, value in (
        ("instructions", "x" * 950_000),
        ("instructions", '"' * 240_000 + "\n" * 240_000),
        ("tools", tools),
        ("text", {"format": schema}),
        ("user", "x" * 950_000),
        ("prompt_cache_key", "x" * 950_000),
        ("safety_identifier", "x" * 950_000),
    ):
        status, answer = ask("fine", "POST", RESPONSES, {**ASK, field: value})
        assert (status, answer["error"]["param"]) == (400, field)
        assert "900,000" in answer["error"]["message"]
    assert ask("fine", "POST", RESPONSES, {**ASK, "instructions": "x" * 800_000})[0] == 200


@pytest.mark.parametrize("content", ['"' * 2_400_000, "\\" * 2_400_000], ids=["quotes", "backslashes"])
def test_an_item_that_could_not_be_read_back_is_refused(ask: Any, content: str) -> None:
    _, conversation = ask("", "POST", "/v1/conversations", {})
    message = {"role": "user", "content": content}
    for path, body, param in (
        (RESPONSES, {**ASK, "input": content}, "input"),
        (RESPONSES, {**ASK, "input": [MESSAGE, message]}, "input[1]"),
        (RESPONSES, {**ASK, "store": False, "input": [user({"type": "input_text", "text": content})]}, "input[0]"),
        ("/v1/conversations", {"items": [message]}, "items[0]"),
        (f"/v1/conversations/{conversation['id']}/items", {"items": [message]}, "items[0]"),
    ):
        status, answer = ask("fine", "POST", path, body)
        assert (status, answer["error"]["param"]) == (400, param)
        assert "5,000,000" in answer["error"]["message"]
    assert ask("", "GET", f"/v1/conversations/{conversation['id']}/items")[1]["data"] == []


def test_items_whose_list_could_not_be_sent_back_are_refused(ask: Any) -> None:
    _, conversation = ask("", "POST", "/v1/conversations", {})
    body = {"items": [{"role": "user", "content": '"' * 800_000}] * 3}
    status, answer = ask("", "POST", f"/v1/conversations/{conversation['id']}/items", body)
    assert (status, answer["error"]["param"]) == (400, "items")
    assert ask("", "GET", f"/v1/conversations/{conversation['id']}/items")[1]["data"] == []


def test_items_of_a_request_are_read_in_pages_that_fit(ask: Any) -> None:
    texts = ['"' * 1_000 * number for number in range(60)]
    _, response = ask(
        "fine", "POST", RESPONSES, {**ASK, "input": [{"role": "user", "content": each} for each in texts]}
    )
    path, found, query = f"{RESPONSES}/{response['id']}/input_items", list[str](), "?order=asc&limit=100"
    while query:
        _, got = ask("", "GET", path + query)
        found += [item["content"][0]["text"] for item in got["data"]]
        query = f"?order=asc&limit=100&after={got['last_id']}" if got["has_more"] else ""
    assert found == texts


async def keep(conversation: str, text: str) -> None:
    """As an earlier version did, whatever its size."""
    store = open_store(get_settings().store)
    item = {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await Conversations(store, "local").append(conversation, Turn([item], []))
    await store.aclose()


def test_what_an_earlier_version_kept_is_an_error_and_no_crash(ask: Any) -> None:
    _, conversation = ask("", "POST", "/v1/conversations", {})
    asyncio.run(keep(conversation["id"], "x" * 7_000_000))
    for path in ("items", "items/msg_1"):
        status, answer = ask("", "GET", f"/v1/conversations/{conversation['id']}/{path}")
        assert (status, answer["error"]["code"]) == (500, "answer_too_large")
        assert "6,000,000" in answer["error"]["message"]


@pytest.mark.skipif(binary() is None, reason="the runtime emulator is not here")
def test_three_images_are_read_in_pages_in_awss_runtime(clean_environment: Any, tmp_path: Any) -> None:
    variables = {
        "STORE": f"sqlite:///{tmp_path}/agency.db",
        "LETTERS_FOLDER": f"{tmp_path}/letters",
        "AWS_SAM_LOCAL": "true",
    }
    with RuntimeEmulator("handler.api.handler", variables) as emulator:

        def send(method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Any:
            event = {**rest_event(method, path, body), "queryStringParameters": query}
            event["multiValueQueryStringParameters"] = {name: [value] for name, value in (query or {}).items()}
            answer = emulator.invoke(event)
            assert answer["statusCode"] == 200, str(answer)[:300]
            return json.loads(answer["body"])

        path = f"/v1/conversations/{send('POST', '/v1/conversations', {})['id']}/items"
        added = [
            send("POST", path, {"items": [user({"type": "input_image", "image_url": IMAGE})]})["first_id"]
            for _ in range(3)
        ]
        first = send("GET", path, query={"order": "asc"})
        assert ([item["id"] for item in first["data"]], first["has_more"]) == (added[:2], True)
        second = send("GET", path, query={"order": "asc", "after": first["last_id"]})
        assert ([item["id"] for item in second["data"]], second["has_more"]) == (added[2:], False)
