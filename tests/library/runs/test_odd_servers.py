"""What real servers and real guardrails do, and a client must not be misled by."""

import asyncio
import json

import httpx
import pytest
from agency_swarm import Agency, Agent, GuardrailFunctionOutput, Handoff, input_guardrail, output_guardrail
from agents import OpenAIChatCompletionsModel
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from agency_lambda.framework.models.events import call_item, message_item, reasoning_item
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.testing.replay import replayed
from tests.library.runs.stage import Plays, play

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


def guardrail(make, refuse):
    @make
    async def check(context, agent, text):
        await asyncio.sleep(0.05)  # slower than the model
        return GuardrailFunctionOutput(output_info="No.", tripwire_triggered=refuse)

    return check


def solo(model, **more):
    return lambda: Agency(Agent(name="Solo", instructions=".", model=model, **more))


def chat(*deltas, finish="stop"):
    """A Chat Completions server that streams these deltas."""
    head = {"id": "c", "created": 0, "model": "m", "object": "chat.completion.chunk"}
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**head, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 16, "total_tokens": 21}})
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    transport = httpx.MockTransport(
        lambda r: httpx.Response(200, headers={"content-type": "text/event-stream"}, text=body)
    )
    client = AsyncOpenAI(api_key="x", http_client=httpx.AsyncClient(transport=transport))
    return solo(OpenAIChatCompletionsModel("m", client))


@pytest.mark.parametrize("stream", [True, False])
def test_last_words_of_a_guarded_agent_are_told_though_somebody_spoke_before(stream):
    def desk():
        before = [message_item("One moment."), call_item("transfer_to_Second", "{}")]
        first = Agent(name="First", instructions=".", model=Plays(before))
        last = guardrail(output_guardrail, False)
        second = Agent(
            name="Second", instructions=".", model=Plays([message_item("the answer")]), output_guardrails=[last]
        )
        return Agency(first, communication_flows=[(first, second, Handoff)])

    assert play(desk, stream=stream).words == ["One moment.", "the answer"]


@pytest.mark.parametrize("stream", [True, False])
def test_what_an_input_guardrail_refused_calls_no_function_of_the_clients(stream):
    shown = play(
        solo(OfflineModel("Solo"), input_guardrails=[guardrail(input_guardrail, True)]), stream=stream, tools=[WEATHER]
    )
    assert shown.words == ["No."]
    assert [item["type"] for item in shown.items] == ["message"]


def test_a_guarded_agents_thoughts_wait_too():
    model = Plays([reasoning_item("secret"), message_item("secret")])
    refused = solo(model, output_guardrails=[guardrail(output_guardrail, True)], validation_attempts=0)
    assert "secret" not in play(refused, reasoning={"summary": "auto"})


def test_a_clients_function_is_no_handoff_whatever_its_name():
    shown = play(solo(OfflineModel("Solo")), tools=[{**WEATHER, "name": "transfer_to_bank"}])
    assert [item["type"] for item in shown.items] == ["function_call"]


def test_a_part_that_begins_at_a_higher_index():
    told = []
    item = OutputBuilder(lambda kind, **fields: told.append({"type": kind, **fields}), "resp_1").open(
        {"type": "message", "role": "assistant", "content": []}
    )
    part = {"type": "output_text", "text": "Hello world", "annotations": [], "logprobs": []}
    item.add_text(1, "Hello ")
    item.add_text(1, "world")
    item.close({"type": "message", "content": [part]})
    assert replayed(told)[0]["content"] == [part]


def test_a_chat_model_that_reasons_says_its_words_once():
    shown = play(chat({"role": "assistant", "reasoning_content": "hmm"}, {"content": "Hello "}, {"content": "world"}))
    assert shown.words == ["Hello world"]


@pytest.mark.parametrize(
    "delta", [{}, {"content": None}, {"content": ""}, {"refusal": ""}, {"tool_calls": []}], ids=str
)
def test_chat_answer_without_words_is_complete_and_empty(delta):
    shown = play(chat({"role": "assistant", **delta}))
    assert (shown.response["status"], shown.items) == ("completed", [])


def test_a_chat_answer_that_was_cut_is_incomplete():
    shown = play(
        chat({"role": "assistant", "content": "Hello "}, {"content": "wor"}, finish="length"), max_output_tokens=16
    )
    assert shown.response["status"] == "incomplete"


def test_a_refusal_is_an_answer():
    shown = play(chat({"role": "assistant", "refusal": "I can"}, {"refusal": "not"}))
    assert shown.response["status"] == "completed"
    assert shown.words == ["I cannot"]


def test_a_chat_refusal_behind_an_empty_text_is_one_message():
    shown = play(chat({"role": "assistant", "content": ""}, {"refusal": "I can"}, {"refusal": "not"}))
    assert shown.words == ["I cannot"]


HEADS = [
    {"role": "assistant"},
    {"role": "assistant", "content": "", "refusal": None},
    {"role": "assistant", "content": None, "refusal": None},
    {"role": "assistant", "content": None, "refusal": ""},
]
DELTAS = st.lists(
    st.sampled_from([{"content": "a "}, {"refusal": "no "}, {"content": ""}, {"refusal": ""}]), max_size=6
)


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(HEADS), DELTAS.filter(lambda deltas: any("a " in d.values() or "no " in d.values() for d in deltas))
)
@example(HEADS[1], [{"refusal": "no "}])
@example(HEADS[0], [{"content": "a "}, {"refusal": "no "}, {"content": "a "}])
@example(HEADS[0], [{"refusal": "no "}, {"content": "a "}])
def test_chat_text_and_refusals_in_any_order_are_one_message_of_filled_parts(head, deltas):
    shown = play(chat(head, *deltas), stream=True)
    (message,) = replayed(shown.events)
    assert shown.response["status"] == "completed"
    assert all(part.get("text") or part.get("refusal") for part in message["content"])
    for kind, field in (("text", "content"), ("refusal", "refusal")):
        assert "".join(part.get(kind, "") for part in message["content"]) == "".join(d.get(field, "") for d in deltas)


def test_hosted_tools_are_told_when_they_are_used():
    from tests.library.runs.test_response_builder import HOSTED

    for stream in (True, False):
        shown = play(solo(Plays([HOSTED[0], message_item("found")])), stream=stream)
        assert [item["type"] for item in shown.items] == ["reasoning", "message"], stream


# 10
def test_nothing_is_told_of_an_item_that_is_closed():
    told = []
    output = OutputBuilder(lambda kind, **fields: told.append(kind), "resp_1")
    item = output.open({"type": "message", "role": "assistant", "content": []})
    output.close()
    told.clear()
    item.add_text(0, "late")
    assert told == []
