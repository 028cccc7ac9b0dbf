"""What openai's clients send is, byte for byte, what they send without the patch of their transforms."""

import asyncio
import inspect
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import openai
import pytest
from openai import AsyncOpenAI, OpenAI, _utils, not_given, omit
from openai.resources.chat.completions import completions
from openai.resources.responses import responses
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import ParsedResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from openai.types.shared import Reasoning
from pydantic import BaseModel

from agency_lambda.framework import patches
from tests.library.models.body_samples import samples
from tests.library.models.recording_server import RecordingServer, recording_server

patches.install()

_NAMES = ("maybe_transform", "async_maybe_transform")
_PARAMS = {"responses": ResponseCreateParamsNonStreaming, "chat": CompletionCreateParamsNonStreaming}
_WAYS = ("create", "streamed", "raw", "streaming response", "parse", "stream")
_LEFT_OUT = {"stream", "n"}  # the way's; openai's stream helper takes one answer
_REFUSED = {"tools", "text", "response_format", "functions", "function_call", "prompt"}  # by the helpers, in part


class Answer(BaseModel):
    words: str


def message(text: str) -> ResponseOutputMessage:
    part = ResponseOutputText(type="output_text", text=text, annotations=[])
    return ResponseOutputMessage(id="msg_1", type="message", role="assistant", status="completed", content=[part])


def odd() -> dict[str, Any]:
    # Values that are no JSON, and new for each request: a generator can be read once.
    call = ParsedResponseFunctionToolCall(
        type="function_call", call_id="c", name="n", arguments="{}", parsed_arguments=Answer(words="parsed")
    )
    user = {"role": "user", "content": ({"type": "input_text", "text": text} for text in ("a", "b"))}
    return {
        "model": "m",
        "input": [user, call, {"role": "user", "content": "plain", "type": omit}, message("x"), {"role": "user"}],
        "reasoning": Reasoning(effort="low"),
        "include": ("reasoning.encrypted_content",),
        "tools": (tool for tool in [{"type": "function", "name": "n", "parameters": {}, "strict": not_given}]),
        "top_p": omit,
        "extra_body": {"input": "replaced", "more": 1},
    }


def odd_chat() -> dict[str, Any]:
    system = {"role": "system", "content": ({"type": "text", "text": text} for text in "ab")}
    tool: dict[str, Any] = {"type": "function", "function": {"name": "n", "strict": omit, "parameters": {}}}
    return {
        "model": "m",
        "messages": [system, {"role": "user", "content": "plain"}, {"role": "assistant", "name": not_given}],
        "tools": [tool],
        "stop": omit,
        "metadata": None,
    }


def bodies(api: str) -> Iterator[dict[str, Any]]:
    for body in samples(_PARAMS[api]):
        yield {name: value for name, value in body.items() if name not in _LEFT_OUT}
    yield odd() if api == "responses" else odd_chat()


async def send(client: Any, api: str, way: str) -> None:
    # Send every body by `create`, which the other ways call or copy, and two by these. client: of either kind.
    resource = client.responses if api == "responses" else client.chat.completions
    for body in [*bodies(api)][0 if way == "create" else -2 :]:
        await SENDERS[way](resource, body)


async def _finished(sent: Any) -> Any:
    return await sent if inspect.isawaitable(sent) else sent


async def _create(resource: Any, body: dict[str, Any]) -> None:
    await _finished(resource.create(**body))


async def _streamed(resource: Any, body: dict[str, Any]) -> None:
    await _finished((await _finished(resource.create(**body, stream=True))).close())


async def _raw(resource: Any, body: dict[str, Any]) -> None:
    await _finished(resource.with_raw_response.create(**body))


async def _opened(manager: Any) -> None:
    if hasattr(manager, "__aenter__"):
        async with manager:
            return
    with manager:
        return


async def _streaming_response(resource: Any, body: dict[str, Any]) -> None:
    await _opened(resource.with_streaming_response.create(**body))


def _taken(method: Any, body: dict[str, Any]) -> dict[str, Any]:
    known = inspect.signature(method).parameters
    return {name: value for name, value in body.items() if name in known and name not in _REFUSED}


async def _parse(resource: Any, body: dict[str, Any]) -> None:
    await _finished(resource.parse(**_taken(resource.parse, body)))


async def _stream(resource: Any, body: dict[str, Any]) -> None:
    await _opened(resource.stream(**_taken(resource.stream, body)))


SENDERS = dict(zip(_WAYS, (_create, _streamed, _raw, _streaming_response, _parse, _stream), strict=True))


def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_utils, responses, completions):
        for name in _NAMES:
            monkeypatch.setattr(module, name, vars(module)[name].__wrapped__)


@pytest.fixture(scope="module")
def server() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("api", _PARAMS)
@pytest.mark.parametrize("kind", [AsyncOpenAI, OpenAI])
def test_bytes_on_the_wire_are_those_of_openai_alone(
    kind: Any, api: str, way: str, server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_sent() -> list[Any]:
        server.requests.clear()
        client = kind(base_url=server.base_url, api_key="key", max_retries=0)
        await send(client, api, way)
        await _finished(client.close())
        return [*server.requests]

    ours = asyncio.run(all_sent())
    unpatched(monkeypatch)
    theirs = asyncio.run(all_sent())
    assert len(ours) == (len([*bodies(api)]) if way == "create" else 2)
    assert ours == theirs


@pytest.mark.parametrize(
    ("api", "field", "types"),
    [
        ("responses", "input", {"message", "function_call", "function_call_output", "reasoning", "compaction"}),
        ("responses", "tools", {"function", "file_search", "mcp", "shell", "apply_patch"}),
        ("chat", "messages", {"system", "user", "assistant", "tool", "developer", "function"}),
    ],
)
def test_samples_hold_every_kind(api: str, field: str, types: set[str]) -> None:
    values = [value for body in bodies(api) for value in body[field] if isinstance(value, dict)]
    assert {value.get("type" if api == "responses" else "role") for value in values} >= types
    sent = {name for body in samples(_PARAMS[api]) for name, value in body.items() if value is not None}
    assert {*get_type_hints(_PARAMS[api])} == sent


def test_no_type_of_a_request_has_keys_to_rename_or_values_to_format() -> None:
    folders = [Path(str(openai.__file__)).parent / "types" / name for name in ("responses", "chat", "shared_params")]
    types = [path for folder in folders for path in folder.glob("*param*.py")]
    assert len(types) > 100
    infos = re.findall(r"PropertyInfo\((.*?)\)", " ".join(path.read_text() for path in types))
    assert [info for info in infos if not info.startswith("discriminator=")] == []


@pytest.mark.parametrize("one_model", [False, True])
def test_body_of_many_items_does_not_hold_the_loop(one_model: bool) -> None:
    items: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}] * 2_000
    body = {"model": "m", "input": items + [message("x")] * one_model}
    encoding = min(_cpu(lambda: json.dumps(items)) for _ in range(3))
    params = ResponseCreateParamsNonStreaming
    took = min(_cpu(lambda: asyncio.run(responses.async_maybe_transform(body, params))) for _ in range(3))
    assert took < 10 * encoding  # openai's own takes 200 times as long


def test_list_that_its_caller_extends_is_sent_again_as_it_was() -> None:
    items: list[Any] = [{"role": "user", "content": "first"}]
    body = responses.maybe_transform({"model": "m", "input": items}, ResponseCreateParamsNonStreaming)
    items.append({"role": "user", "content": "later"})
    assert len(body["input"]) == 1


def test_reproductions_for_openai_show_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "upstream.md").read_text()
    transform, union = (part.split("```")[0] for part in page.split("```python\n")[1:])
    exec(transform.replace("asyncio.run(async_maybe_transform", "asyncio.run(async_maybe_transform.__wrapped__"), {})
    assert capsys.readouterr().out.endswith("changed: False\n")
    exec(union, {})
    assert capsys.readouterr().out.count("for an event: ResponseTextDeltaEvent\n") == 2


def _cpu(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
