"""The official Python client's chat completions: whole, streamed, tools, typed answers, approvals, errors."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.library.clients.payments import Payments, served
from tests.library.clients.server import MODEL, Server
from tests.library.conftest import QUESTION

ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}


class Appointment(BaseModel):
    client: str
    hours: int
    days: list[str]


def weather(city: str) -> str:
    """Look at the weather."""
    return f"rain in {city}"


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def test_a_whole_completion(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(**ASK)
    assert "Dear Nordwind" in (made.choices[0].message.content or "")
    assert (made.model, made.choices[0].finish_reason) == (MODEL, "stop")
    assert made.usage
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens > 0
    assert client.responses.retrieve(made.id).output_text == made.choices[0].message.content


def test_strict_validation_finds_nothing(server: Server) -> None:
    with openai.OpenAI(**server.options()) as client:
        assert client.chat.completions.create(**ASK).choices
        assert list(client.chat.completions.create(**ASK, stream=True))


def test_a_stream(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Dear Nordwind" in told
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == "stop"
    assert chunks[-1].usage
    assert client.responses.retrieve(chunks[0].id).output_text == told


def test_the_streaming_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**ASK) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content
    assert "Dear Nordwind" in "".join(deltas)


def test_the_work_of_colleagues_as_reasoning(client: openai.OpenAI) -> None:
    made: Any = client.chat.completions.create(**ASK, extra_body={"include_reasoning": True})
    assert "Secretary asks Registrar" in made.choices[0].message.reasoning_content
    chunks: Any = client.chat.completions.create(**ASK, reasoning_effort="low", stream=True)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "Secretary asks Registrar" in "".join(getattr(delta, "reasoning_content", "") for delta in deltas)


def test_a_function_of_the_client(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "Use weather."}]
    asked = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, tool_choice="required")
    call = (asked.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert (asked.choices[0].finish_reason, call.function.name) == ("tool_calls", "weather")
    messages += [asked.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    assert client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message.content


def test_a_typed_answer(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "When?"}]
    parsed = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Appointment)
    assert isinstance(parsed.choices[0].message.parsed, Appointment)


def test_an_image_a_file_and_the_message_that_was_answered(client: openai.OpenAI) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
        {"type": "file", "file": {"filename": "plan.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    ]
    messages: list[Any] = [{"role": "user", "content": parts}]
    first = client.chat.completions.create(model=MODEL, messages=messages, reasoning_effort="low")
    messages += [first.choices[0].message.model_dump(), {"role": "user", "content": "And this?"}]
    assert client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content


def test_errors_are_those_of_the_client(client: openai.OpenAI, server: Server) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ASK, n=2)
    assert (refused.value.param, refused.value.code) == ("n", "unsupported_parameter")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(**{**ASK, "model": "gpt-5"})
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
    with openai.OpenAI(**server.options("al_nobody")) as nobody, pytest.raises(openai.AuthenticationError):
        nobody.chat.completions.create(**ASK)


# A person who decides


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Payments]:
    with served(tmp_path_factory.mktemp("payments"), AGENT_MESSAGES="queue") as running:
        yield running
        assert running.model.refusals == []


def decide(server: Server, times: int, pause: float = 0.0) -> threading.Thread:
    """Decide what is asked next, as another program does."""

    def work() -> None:
        time.sleep(pause)
        with httpx.Client(base_url=server.base_url, headers={"authorization": f"Bearer {server.key}"}) as http:
            end, decided = time.monotonic() + 20, 0
            while decided < times and time.monotonic() < end:
                for each in http.get("/approvals").json()["data"]:
                    decided += http.post(f"/approvals/{each['id']}", json={"approve": True}).is_success
                time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("text", "times", "said", "pause"),
    [
        ("pay ann", 1, "Entry: paid 1 to ann", 0),
        ("pay ann; pay bob", 2, "Entry: paid 1 to ann | paid 1 to bob", 0),
        ("Colleague: pay ann", 1, "Entry: Colleague: paid 1 to ann", 6),  # until nothing else goes on for two looks
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_waits_for_the_decisions(
    payments: Payments, text: str, times: int, said: str, pause: float, stream: bool
) -> None:
    messages: list[Any] = [{"role": "user", "content": text}]
    with openai.OpenAI(**payments.server.options()) as client:
        deciding = decide(payments.server, times, pause if stream else 0)
        if stream:
            with client.chat.completions.stream(model="payments", messages=messages) as events:
                made: Any = events.get_final_completion()
        else:
            made = client.chat.completions.create(model="payments", messages=messages)
        deciding.join()
        if stream:
            shown = made.choices[0].message.reasoning_content
            assert (shown.count("asks a person"), shown.count("asks Colleague")) == (times, 0)
        assert client.responses.retrieve(made.id).status == "completed"
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == (said, "stop")


def test_who_leaves_while_a_person_is_asked_finds_the_rest(payments: Payments) -> None:
    messages: list[Any] = [{"role": "user", "content": "pay eve"}]
    with openai.OpenAI(**payments.server.options()) as client:
        chunks: Any = client.chat.completions.create(model="payments", messages=messages, stream=True)
        first = next(chunk for chunk in chunks if getattr(chunk.choices[0].delta, "reasoning_content", None))
        chunks.close()
        decide(payments.server, 1).join()
        listed = client.get("/responses", cast_to=object)
        rest: Any = listed
        end = time.monotonic() + 20
        while (
            rest := client.responses.retrieve(rest["data"][0]["id"] if isinstance(rest, dict) else rest.id)
        ).status != "completed":
            assert time.monotonic() < end
            time.sleep(0.1)
    assert rest.output_text == "Entry: paid 1 to eve"
    assert "asks a person: pay" in first.choices[0].delta.reasoning_content
