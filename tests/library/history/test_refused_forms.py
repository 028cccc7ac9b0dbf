"""What is asked otherwise after a 400, what is remembered of it, and what an unrelated 400 leaves as it was."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.library.history.provider import Provider
from tests.library.history.test_replay import MODEL, THREADS, Turn, served

LIVE = pytest.mark.parametrize("stream", [False, True])
ABOUT_INCLUDE = [
    {"message": "Unsupported parameter: include"},
    {"message": "Encrypted content is not supported with this model.", "param": "include"},
    {"message": "reasoning.encrypted_content is not supported"},
    {"message": "No.", "param": "include[0]", "code": "unsupported_value"},
    {"message": "Bad request"},
    {"message": " "},
    {"message": "Bad request", "code": 400},
]
UNRELATED = [
    {"message": "Unsupported value: 'reasoning.effort' does not support 'xhigh'.", "param": "reasoning.effort"},
    {"message": "Unsupported value: 'reasoning.effort' does not support 'xhigh'.", "param": "input"},
    {"message": "Unsupported value: 'reasoning.effort' does not support 'xhigh'."},
    {"message": "Unknown parameter: 'reasoning_effort'.", "param": "reasoning_effort", "code": "unknown_parameter"},
    {"message": "Your reasoning input exceeds the context window.", "code": "context_length_exceeded"},
    {"message": "Invalid reasoning tool.", "param": "tools[0].name"},
    {"message": "Encrypted images are refused.", "param": "metadata"},
    {"message": "Bad request"},
    {"message": "Reasoning was flagged.", "param": "input", "code": "content_policy_violation"},
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def includes(body: dict[str, Any]) -> bool:
    return "reasoning.encrypted_content" in (body.get("include") or ())


def reasoning(body: dict[str, Any]) -> int:
    return [item.get("type") for item in body["input"]].count("reasoning")


def asked(provider: Provider, turns: int, stream: bool, refused: range, error: dict[str, Any]) -> list[dict[str, Any]]:
    """Answer each turn with reasoning; every call of the turns in `refused` is refused."""

    async def whole() -> list[dict[str, Any]]:
        responses = []
        async with served(provider, THREADS[0], "responses", [MODEL]) as client:
            for number in range(turns):
                answer = error if number in refused else None
                provider.refuse = lambda body, answer=answer: answer
                provider.script = {"Entry": ["reasoning+text"]}
                responses.append(await client.ask(Turn(provider.script, stream)))
        return responses

    return asyncio.run(whole())


@LIVE
@pytest.mark.parametrize("error", ABOUT_INCLUDE, ids=str)
@pytest.mark.parametrize("accepted", [0, 2], ids=["from the first", "later"])
def test_provider_that_refuses_include_is_asked_without_it_and_soon_at_once(
    error: dict[str, Any], accepted: int, stream: bool
) -> None:
    async def whole(provider: Provider) -> list[int]:
        calls = []
        async with served(provider, THREADS[0], "responses", [MODEL]) as client:
            for number in range(accepted + 4):
                if number == accepted:
                    provider.encrypts = False
                    provider.refuse = lambda body: error if includes(body) else None
                provider.script = {"Entry": ["reasoning+text"]}
                before = len(provider.bodies)
                assert (await client.ask(Turn(provider.script, stream)))["status"] == "completed"
                calls.append(len(provider.bodies) - before)
        return calls

    with Provider() as provider:
        calls = asyncio.run(whole(provider))
    assert provider.refusals == []
    assert calls[accepted] >= 2
    assert max(calls) <= 3
    assert calls[-2:] == [1, 1]
    assert not includes(provider.bodies[-1])


@LIVE
@pytest.mark.parametrize("error", UNRELATED, ids=str)
def test_refusal_that_stays_throws_no_reasoning_away(error: dict[str, Any], stream: bool) -> None:
    with Provider() as provider:
        responses = asked(provider, 4, stream, range(2, 3), error)
        last = provider.bodies[-1]
    assert [response["status"] for response in responses] == ["completed", "completed", "failed", "completed"]
    assert (includes(last), reasoning(last)) == (True, 2)


@pytest.mark.parametrize("error", [error for error in UNRELATED if error.get("param") or error.get("code")], ids=str)
def test_refusal_that_names_something_else_is_not_asked_again(error: dict[str, Any]) -> None:
    with Provider() as provider:
        asked(provider, 2, False, range(1, 2), error)
    assert len(provider.bodies) == 2


@LIVE
def test_reasoning_that_is_refused_without_a_word_why_is_left_out(stream: bool) -> None:
    """The question for encrypted reasoning stays: it was not what the provider refused."""

    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], "responses", [MODEL]) as client:
            provider.script = {"Entry": ["reasoning+text"]}
            await client.ask(Turn(provider.script, stream))
            old = len(provider.bodies)
            provider.refuse = lambda body: {"message": "Bad request"} if reasoning(body) else None
            for _ in range(3):
                assert (await client.ask(Turn({}, stream)))["status"] == "completed"
            assert len(provider.bodies) - old == 4

    with Provider() as provider:
        asyncio.run(whole(provider))
    assert includes(provider.bodies[-1])
