"""POST /mcp: messages, versions, headers, and agencies as tools."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.protocol.mcp.arguments import Arguments
from agency_lambda.protocol.mcp.peer import Peer
from agency_lambda.protocol.mcp.tools import list_tools, tool_names
from tests.library.conftest import QUESTION, Service
from tests.library.protocols.mcp_client import META, MODERN, Client, messages, text

PIXEL = "data:image/png;base64,iVBORw0KGgo="

EARLIER = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.mark.parametrize("version", ["", *EARLIER, MODERN])
def test_tools_are_listed_without_a_handshake(service: Service, version: str) -> None:
    tools = Client(service, version).result("tools/list")["tools"]
    assert [tool["name"] for tool in tools] == ["letters", "payments", "get_response"]
    assert tools[0]["inputSchema"]["required"] == ["message"]
    assert ("execution" in tools[0]) is (version == "2025-11-25")


@pytest.mark.parametrize("version", ["", *EARLIER, MODERN])
def test_a_call_answers_with_text_and_fields(service: Service, version: str) -> None:
    result = Client(service, version).call("payments", message="look here")
    assert result["isError"] is False
    assert text(result) == "[offline model] Entry: saw here"
    fields = result["structuredContent"]
    assert fields.pop("response_id").startswith("resp_")
    assert fields == {"status": "completed", "answer": text(result), "agent": "Entry", "conversation": None}
    assert (result.get("resultType") == "complete") is (version == MODERN)


def test_the_handshake_agrees_on_a_version_that_has_one(service: Service) -> None:
    client = Client(service, "")
    for asked, agreed in [
        *((version, version) for version in EARLIER),
        (MODERN, EARLIER[0]),
        ("1999-01-01", EARLIER[0]),
    ]:
        result = client.result("initialize", {**HELLO, "protocolVersion": asked})
        assert result["protocolVersion"] == agreed
        assert ("tasks" in result["capabilities"]) is (agreed == EARLIER[0])
    status, _, body = client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (status, body) == (202, "")
    assert client.result("ping") == {}


def test_the_newest_version_has_discovery_in_place_of_it(service: Service) -> None:
    client = Client(service)
    result = client.result("server/discover")
    assert result["supportedVersions"] == [MODERN, *EARLIER]
    assert result["capabilities"] == {"tools": {}, "extensions": {f"{META}tasks": {}}}
    assert result["_meta"][f"{META}serverInfo"]["name"] == "agency-lambda"
    assert {"ttlMs", "cacheScope"} <= result.keys()
    for method in ("initialize", "ping", "tasks/result", "tasks/list", "logging/setLevel", "no/such"):
        status, _, body = client.send(client.message(method))
        assert (status, json.loads(body)["error"]["code"]) == (404, -32601)


def test_an_earlier_client_gets_an_unknown_method_as_an_answer(service: Service) -> None:
    client = Client(service, "2025-06-18")
    for method in ("prompts/list", "server/discovery", "tasks/get"):
        status, _, body = client.send(client.message(method))
        assert (status, json.loads(body)["error"]["code"]) == (200, -32601)


@pytest.mark.parametrize(
    ("left_out", "headers", "code"),
    [
        (f"{META}protocolVersion", {}, -32602),
        (f"{META}clientCapabilities", {}, -32602),
        (None, {"mcp-protocol-version": "2025-11-25"}, -32020),
        (None, {"mcp-method": "tools/LIST"}, -32020),
        (None, {"mcp-method": ""}, -32020),
    ],
)
def test_a_request_says_who_asks_and_its_headers_repeat_it(
    service: Service, left_out: str | None, headers: dict[str, str], code: int
) -> None:
    client = Client(service)
    message = client.message("tools/list")
    assert client.send(message)[0] == 200
    if left_out:
        del message["params"]["_meta"][left_out]
    status, _, body = client.send(message, **headers)
    assert (status, json.loads(body)["error"]["code"], json.loads(body)["id"]) == (400, code, message["id"])


def test_the_name_of_the_tool_is_in_a_header_plain_or_encoded(service: Service) -> None:
    client = Client(service)
    message = client.message("tools/call", {"name": "payments", "arguments": {"message": "x"}})
    for name, status in [("payments", 200), ("=?base64?cGF5bWVudHM=?=", 200), ("letters", 400), ("=?base64?%?=", 400)]:
        assert client.send(message, **{"mcp-name": name})[0] == status


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-29"])
def test_an_unknown_version_is_refused_with_those_that_are_known(service: Service, version: str) -> None:
    client = Client(service)
    message = client.message("tools/list")
    message["params"]["_meta"][f"{META}protocolVersion"] = version
    status, _, body = client.send(message, **{"mcp-protocol-version": version})
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (400, -32022)
    assert error["data"] == {"supported": [MODERN, *EARLIER], "requested": version}
    assert Client(service, version).send({"jsonrpc": "2.0", "method": "notifications/initialized"})[0] == 400
    del message["params"]["_meta"]
    status, _, body = client.send(message, **{"mcp-protocol-version": version})
    assert (status, json.loads(body)["error"]) == (400, error)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", -32700),
        ("", -32700),
        ('{"jsonrpc": "2.0", "id": NaN}', -32700),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": "\\ud83d"}}', -32700),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": 1e400}}', -32700),
        ("[]", -32600),
        ("3", -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": {}, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": "x" * 257, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 10**256, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 2}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
    ],
)
def test_what_is_no_message_is_refused(service: Service, body: Any, code: int) -> None:
    sent = body if isinstance(body, str) else json.dumps(body)
    status, _, answered = Client(service, "").send(sent)
    assert (status, json.loads(answered)["error"]["code"]) == (400, code)


@pytest.mark.parametrize("request_id", [0, -7, 10**30, "", "a b", "日本", "x" * 256])
def test_ids_come_back_as_they_are(service: Service, request_id: Any) -> None:
    for version in ("2025-11-25", ""):
        message = {"jsonrpc": "2.0", "id": request_id, "method": "ping", "params": {}}
        assert json.loads(Client(service, version).send(message)[2]) == {
            "jsonrpc": "2.0",
            "id": request_id,
            "result": {},
        }


def test_one_version_takes_several_messages_at_once(service: Service) -> None:
    pings: list[Any] = [{"jsonrpc": "2.0", "id": number, "method": "ping"} for number in range(2)]
    batch = [pings[0], {"jsonrpc": "2.0", "method": "notifications/initialized"}, pings[1]]
    assert [each["id"] for each in json.loads(Client(service, "").send(json.dumps(batch))[2])] == [0, 1]
    assert Client(service, "").send(json.dumps(batch[1:2]))[0] == 202
    assert Client(service, "").send(json.dumps(pings * 11))[0] == 400
    assert Client(service, "").send(json.dumps(batch), **{"mcp-protocol-version": "2025-06-18"})[0] == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:6274", 200),
        ("https://127.0.0.1", 200),
        ("http://[::1]:80", 200),
        ("https://app.example.com", 200),
        ("https://evil.example.com", 403),
        ("http://localhost.evil.example.com", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_origins_are_refused(start: Callable[..., Service], origin: str, status: int) -> None:
    client = Client(start(CORS_ORIGINS="https://app.example.com"))
    answered, headers, _ = client.send(client.message("tools/list"), origin=origin)
    assert answered == status
    assert ("mcp-session-id" in headers.get("access-control-expose-headers", "")) is (origin[:11] == "https://app")


def test_other_methods_and_types_are_refused(service: Service) -> None:
    assert service.get("/mcp")[0] == 405
    assert service.delete("/mcp")[0] == 405
    client = Client(service)
    assert client.send(client.message("tools/list"), **{"content-type": "text/plain"})[0] == 415
    assert client.send("x" * 5_000_001)[0] == 413
    assert client.send("[" * 100 + "]" * 100)[0] == 400


@pytest.mark.parametrize("version", ["2025-06-18", MODERN])
def test_what_a_tool_cannot_do_is_told_as_its_result(service: Service, version: str) -> None:
    client = Client(service, version)
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "message"),
        ({"message": " "}, "message"),
        ({"message": "x", "msg": 1}, "msg"),
        ({"message": 3}, "message"),
        ({"message": "x", "agent": "Nobody"}, "Nobody"),
        ({"message": "x", "conversation": "a b"}, "conversation"),
        ({"message": "x", "images": [PIXEL, "no link"]}, "images[1]: "),
        ({"message": "x", "files": ["file-1"]}, "files[0]"),
        ({str(number): 1 for number in range(10_000)}, "arguments"),
    ]
    for arguments, word in refused:
        result = client.result("tools/call", {"name": "payments", "arguments": arguments})
        assert (result["isError"], word in text(result)) == (True, True), result
    assert client.error("tools/call", {"name": "nobody"})["code"] == -32602
    assert client.error("tools/call", {"name": 3})["code"] == (-32020 if version == MODERN else -32602)


def test_a_conversation_goes_on_under_its_name(service: Service) -> None:
    client = Client(service)
    first = client.call("letters", message="hello", conversation="mine")
    assert first["structuredContent"]["conversation"] == "mine"
    client.call("letters", message="again", conversation="mine")
    items = service.get("/v1/responses?conversation=letters/mine")[1]["data"]
    assert len(items) == 2
    assert service.ask("more", agency="letters", thread_id="mine")[1]["thread_id"] == "mine"


def test_an_agent_and_an_image(service: Service) -> None:

    result = Client(service).call("payments", message="look here", agent="Colleague", images=[PIXEL])
    assert result["structuredContent"]["agent"] == "Colleague"
    items = service.get(f"/v1/responses/{result['structuredContent']['response_id']}/input_items")[1]["data"]
    assert items[0]["content"][1]["image_url"] == PIXEL


@pytest.mark.parametrize("version", ["2025-06-18", MODERN])
def test_progress_comes_before_the_answer_and_has_no_content(service: Service, version: str) -> None:
    client = Client(service, version)
    call = {"name": "letters", "arguments": {"message": QUESTION}, "_meta": {"progressToken": "p"}}
    status, headers, body = client.send(client.message("tools/call", call))
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    *notes, answer = messages(body)
    assert [note["params"]["progress"] for note in notes] == list(range(1, len(notes) + 1))
    said = [note["params"]["message"] for note in notes]
    assert {"Secretary asks Registrar", "Registrar uses create_task", "Secretary answers"} <= {*said}
    assert all(note["params"]["progressToken"] == "p" and "Nordwind" not in str(note) for note in notes)
    assert "Nordwind" in text(answer["result"])


def test_a_client_that_takes_no_stream_gets_json(service: Service) -> None:
    client = Client(service, accept="application/json")
    result = client.call("payments", message="look here", more={"_meta": {"progressToken": 1}})
    assert text(result) == "[offline model] Entry: saw here"


def test_an_idempotency_key_gives_the_same_response(service: Service) -> None:
    client = Client(service, **{"idempotency-key": "k"})
    ids = {client.call("payments", message="look here")["structuredContent"]["response_id"] for _ in range(2)}
    assert len(ids) == 1
    assert client.call("payments", message="look there")["isError"] is True


def test_a_batch_takes_no_idempotency_key(service: Service) -> None:
    call = {"name": "letters", "arguments": {"message": QUESTION}}
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}]
    status, _, body = Client(service, "").send(json.dumps(batch), **{"idempotency-key": "k"})
    assert (status, json.loads(body)["error"]["code"]) == (400, -32600)
    assert "Idempotency-Key" in json.loads(body)["error"]["message"]
    assert service.get("/v1/responses")[1]["data"] == []


@pytest.mark.parametrize("version", ["2025-06-18", MODERN])
def test_what_is_sent_back_is_short(service: Service, version: str) -> None:
    client = Client(service, version)
    call = {"name": "letters", "arguments": {"message": QUESTION}}
    status, _, body = client.send({**client.message("tools/call", call), "id": "x" * 257})
    assert (status, json.loads(body)["error"]["code"], "'id'" in body, len(body) < 300) == (400, -32600, True, True)
    error = client.error("tools/call", {**call, "_meta": {"progressToken": "x" * 257}})
    assert (error["code"], "progressToken" in error["message"]) == (-32602, True)
    assert service.get("/v1/responses")[1]["data"] == []


def test_names_of_tools_are_those_that_providers_take() -> None:
    names = tool_names(["desk", "Büro", "B_ro", "get_response", "a.b", "a_b", "x" * 64, "日本", "中国"])
    assert [*names.values()][:3] == ["desk", "Büro", "B_ro"]
    assert len(names) == 9
    assert all(
        len(name) <= 64 and name.replace("-", "").replace("_", "").isalnum() and name.isascii() for name in names
    )
    assert names["desk"] == "desk"
    assert "get_response" not in names


def test_schemas_of_arguments_are_those_that_are_checked() -> None:
    listed = list_tools({"desk": None}, None, Peer(MODERN))
    assert listed is not None
    desk, wait = (tool["inputSchema"] for tool in listed["tools"])
    assert desk["properties"].keys() == Arguments.model_fields.keys()
    assert all(each["description"] and "anyOf" not in each for each in desk["properties"].values())
    assert desk["properties"]["files"]["maxItems"] == 20
    assert desk["properties"]["conversation"]["pattern"] == "^[A-Za-z0-9_.:-]{1,128}$"
    assert (desk["additionalProperties"], wait["required"]) == (False, ["response_id"])


def test_a_page_has_fifty_tools() -> None:
    agencies = dict.fromkeys(f"desk{number}" for number in range(50))
    first = list_tools(agencies, None, Peer(MODERN))
    assert first is not None
    rest = list_tools(agencies, first["nextCursor"], Peer(MODERN))
    assert (len(first["tools"]), rest and [each["name"] for each in rest["tools"]]) == (50, ["get_response"])


def test_lists_have_pages(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.protocol.mcp.tools._PAGE", 1)
    client, found, cursor = Client(service), list[str](), None
    while True:
        page = client.result("tools/list", {"cursor": cursor} if cursor else {})
        found += [tool["name"] for tool in page["tools"]]
        if (cursor := page.get("nextCursor")) is None:
            break
    assert found == ["letters", "payments", "get_response"]
    assert client.error("tools/list", {"cursor": "elsewhere"})["code"] == -32602


def test_a_description_is_the_one_that_the_agencys_entry_has(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"create_agency": "payments.agency:create_agency", "description": "Pays bills."}
    monkeypatch.setattr("agencies.AGENCIES", {"payments": entry})
    (tool, _) = Client(service).result("tools/list")["tools"]
    assert tool["description"] == "Pays bills."


def test_no_prompt_is_in_any_list(service: Service) -> None:
    client = Client(service)
    shown = json.dumps([client.result("tools/list"), client.result("server/discover")])
    assert "You are" not in shown
