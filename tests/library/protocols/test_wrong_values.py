"""A request with one wrong value anywhere is refused in the protocol's words, or answered: never a failure of ours."""

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service

MODEL = "letters"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
ASKED = {"type": "mcp_approval_request", "id": f"mcpr_{0:032x}", "name": "n", "arguments": "{}", "model": MODEL}
BODIES: dict[str, list[dict[str, Any]]] = {
    "/v1/responses": [
        {
            "model": MODEL,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}],
            "tools": [{"type": "function", **FUNCTION}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            "text": {"format": {"type": "text"}},
            "stream_options": {"include_obfuscation": True},
            "metadata": {"a": "b"},
        }
    ],
    "/v1/chat/completions": [
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, PICTURE]}],
            "tools": [{"type": "function", "function": FUNCTION}],
            "response_format": {"type": "text"},
            "stop": ["q"],
        }
    ],
    f"/ag-ui/{MODEL}": [
        {
            "threadId": "t1",
            "runId": "r1",
            "state": {},
            "messages": [{"id": "m", "role": "user", "content": "x"}],
            "tools": [FUNCTION],
            "context": [{"description": "a", "value": "b"}],
            "forwardedProps": {},
        }
    ],
    f"/{MODEL}/get_response": [
        {
            "message": "x",
            "chat_history": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "client_config": {"base_url": None},
            "user_context": {"a": "b"},
            "generate_chat_name": True,
        },
        {"message": "approve", "chat_history": [{**ASKED, "response_id": f"resp_{0:032x}"}]},
    ],
    "/mcp": [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": MODEL,
                "arguments": {"message": "x", "conversation": "c"},
                "_meta": {"progressToken": 1},
            },
        }
    ],
    "/v1/uploads": [
        {
            "filename": "a.txt",
            "bytes": 5,
            "mime_type": "text/plain",
            "purpose": "user_data",
            "expires_after": {"anchor": "created_at", "seconds": 3600},
        }
    ],
}
WRONG = (None, True, 5, -1.5, 1e200, "", "x" * 300, "\ud800", [], [[]], [None], [{}], ["x", "x"], {}, {"a": {}})


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places(each, (*place, name))


def changed(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    new = copy.deepcopy(body)
    inner = new
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return new


@pytest.mark.parametrize("path", BODIES)
def test_one_wrong_value_is_no_failure_of_the_service(service: Service, path: str) -> None:
    failed = list[Any]()
    for body in BODIES[path]:
        for place in places(body):
            for value in WRONG:
                event = http_event("POST", path, json.dumps(changed(body, place, value)))
                answer = service.handler(event, Context(60))
                status, text = answer["statusCode"], answer["body"]
                if status >= 500 or (status >= 400 and not json.loads(text)["error"]["message"]):
                    failed.append((place, value, status, text))
    assert failed == []


@pytest.mark.parametrize("path", BODIES)
def test_a_long_text_anywhere_costs_what_its_length_does(service: Service, path: str) -> None:
    slow = list[Any]()
    for body in BODIES[path]:
        for place in places(body):
            before = body
            for name in place:
                before = before[name]
            for long in (" " * 60_000, "a " * 30_000, "a" * 60_000) if isinstance(before, str) else ():
                event, began = http_event("POST", path, changed(body, place, f"{before}:{long}.x")), time.process_time()
                service.handler(event, Context(60))
                if time.process_time() - began > 3:  # 10 s and more, where each character is compared with each
                    slow.append((place, long[:2]))
    assert slow == []
