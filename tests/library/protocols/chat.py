"""Chat completions asked in this process, and read as strictly as the official types say."""

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service

PATH = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "letters", "messages": [{"role": "user", "content": "Greet me."}]}
#: fields of our own, and of other servers, that the official types do not name
OWN = {"message": {"reasoning_content", "images"}, "delta": {"reasoning_content", "images", "annotations"}}


def send(service: Service, body: Any, seconds: float = 60, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Return status, body (parsed, unless it is a stream) and headers."""
    answer = service.handler(http_event("POST", PATH, body, **headers), Context(seconds))
    is_stream = answer["headers"]["content-type"].startswith("text/event-stream")
    return answer["statusCode"], answer["body"] if is_stream else json.loads(answer["body"]), answer["headers"]


def complete(service: Service, **fields: Any) -> dict[str, Any]:
    """Return a completion, which must succeed."""
    status, body, _ = send(service, {**ASK, **fields})
    assert status == 200, body
    found: dict[str, Any] = body
    ChatCompletion.model_validate(found, strict=True)
    _known(found, ChatCompletion, {"metadata"})
    return found


def stream(service: Service, **fields: Any) -> list[dict[str, Any]]:
    """Return all data of a stream: chunks, and at its end an error if it has failed."""
    status, body, _ = send(service, {**ASK, **fields, "stream": True})
    assert status == 200, body
    return read(body)


def read(body: str) -> list[dict[str, Any]]:
    *events, rest = body.split("\n\n")
    assert rest == ""
    texts = [event.removeprefix("data: ") for event in events if not event.startswith(":")]
    failed = texts[-1] != "[DONE]"
    found = [json.loads(text) for text in texts[: None if failed else -1]]
    assert ("error" in found[-1]) == failed
    for chunk in found[: -1 if failed else None]:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        _known(chunk, ChatCompletionChunk, set())
        assert {chunk["id"], chunk["model"]} == {found[0]["id"], found[0]["model"]}
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    return found


def _known(found: dict[str, Any], kind: Any, more: set[str]) -> None:
    """Refuse a field that no client would know."""
    assert found.keys() <= kind.model_fields.keys() | more
    for choice in found["choices"]:
        name = "message" if "message" in choice else "delta"
        of_choice = kind.model_fields["choices"].annotation.__args__[0].model_fields
        assert choice.keys() <= of_choice.keys()
        assert choice[name].keys() <= of_choice[name].annotation.model_fields.keys() | OWN[name]


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that a client makes of the deltas, with `finish_reason` and, if it was sent, `usage`."""
    message: dict[str, Any] = {}
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        message |= {"usage": chunk["usage"]} if chunk.get("usage") else {}
        for choice in chunk["choices"]:
            for name, value in choice["delta"].items():
                if name == "tool_calls":
                    for call in value:
                        _add_call(calls, call)
                elif isinstance(value, str | list) and name != "role":
                    message[name] = message[name] + value if message.get(name) else value
            message |= {"finish_reason": choice["finish_reason"]} if choice["finish_reason"] else {}
    return {**message, **({"tool_calls": [*calls.values()]} if calls else {})}


def _add_call(calls: dict[int, dict[str, Any]], call: dict[str, Any]) -> None:
    if "id" in call:  # the first piece of it
        calls[call["index"]] = {**call, "function": dict(call["function"])}
        del calls[call["index"]]["index"]
    else:
        calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
