"""The forms of items by themselves: generated memories, and what must hold of all of them."""

import copy
import json
from typing import Any

import pytest
from agency_swarm.utils.thread import ThreadManager
from agents.models.chatcmpl_converter import Converter
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.history import UniqueIds, sendable, storable
from tests.library.history.rules import Made, check_chat, check_responses

ORIGIN = "me"
IDS = st.sampled_from(["call_0", "call_1", "", "c" * 90, "functions.add:0"])
TEXTS = st.sampled_from(["Words", " ", "", "ö"])
OWNERS = st.sampled_from(
    [
        {"agent": "Entry", "callerAgent": None},
        {"agent": "Partner", "callerAgent": None},
        {"agent": "Colleague", "callerAgent": "Entry"},
        {"agent": "Entry", "callerAgent": "Colleague"},
    ]
)
PARTS = st.one_of(
    st.builds(
        lambda text: {"type": "output_text", "text": text, "annotations": [{"file_id": "f"}], "logprobs": []}, TEXTS
    ),
    st.builds(lambda text: {"type": "refusal", "refusal": text}, TEXTS),
)
CORES = st.one_of(
    st.builds(lambda parts: {"id": "msg_1", "type": "message", "role": "assistant", "content": parts}, st.lists(PARTS)),
    st.builds(
        lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "system", "assistant"]), TEXTS
    ),
    st.builds(
        lambda call_id, name, arguments: {
            **{"id": "fc_1", "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments},
            "status": "in_progress",
        },
        IDS,
        st.sampled_from(["add", "functions.add:0", ""]),
        st.sampled_from(["{}", "", '{"a": ', "[]", "null"]),
    ),
    st.builds(
        lambda call_id, output: {"type": "function_call_output", "call_id": call_id, "output": output},
        IDS,
        st.sampled_from(["3", "", [], [{"type": "input_text", "text": ""}]]),
    ),
    st.builds(
        lambda content, origin: {"id": "rs_1", "type": "reasoning", "summary": [], **content, **origin},
        st.sampled_from([{}, {"encrypted_content": "gAAA"}]),
        st.sampled_from([{}, {"origin": ORIGIN}, {"origin": "another"}]),
    ),
    st.sampled_from(
        [{"type": "web_search_call", "id": "ws_1", "action": {}}, {"type": "item_reference", "id": "msg_1"}]
    ),
)
ITEMS = st.lists(st.builds(lambda core, owner: {**core, **owner, "timestamp": 1}, CORES, OWNERS), max_size=12)


def shown(items: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What each agent is given of them, as the framework picks it."""
    manager = ThreadManager()
    manager.replace_messages(items)
    given: list[Any] = [
        manager.get_conversation_history("Entry"),
        manager.get_conversation_history("Entry", "Colleague"),
    ]
    return given


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(ITEMS, st.booleans())
def test_what_is_sent_is_accepted(items: list[dict[str, Any]], chat: bool) -> None:
    before = copy.deepcopy(items)
    for memory in shown(storable(items)):
        given = [*memory, {"role": "user", "content": "Go on."}]
        sent = sendable(given, ORIGIN, chat=chat, longest_id=40 if chat else 64, unreadable=None)
        if chat:
            check_chat({"messages": Converter.items_to_messages(sent)})
        else:
            check_responses({"input": sent, "model": "m"}, Made())
    assert items == before


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(ITEMS)
def test_what_is_kept_is_kept_as_it_is(items: list[dict[str, Any]]) -> None:
    once = storable(items)
    assert storable(once) == once
    assert all("id" not in item and "status" not in item for item in once)
    assert all(item.get("encrypted_content") for item in once if item["type"] == "reasoning")


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(ITEMS)
def test_pairs_that_belong_together_stay_together(items: list[dict[str, Any]]) -> None:
    """A call and its output that stand side by side, whatever their ids, lose nothing but their names."""
    owner = {"agent": "Entry", "callerAgent": None}
    calls = [{**item, "arguments": json.dumps({"n": number})} for number, item in enumerate(items) if "name" in item]
    whole = []
    for number, call in enumerate(calls):
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": str(number)}
        whole += [{**call, **owner}, {**output, **owner}]
    ids = {item["call_id"]: json.loads(item["arguments"])["n"] for item in storable(whole) if "arguments" in item}
    assert len(ids) == len(calls)
    assert {item["call_id"]: int(item["output"]) for item in storable(whole) if "output" in item}.keys() == ids.keys()


def test_reasoning_stays_with_the_item_that_followed_it() -> None:
    reasoning = {"type": "reasoning", "encrypted_content": "gAAA", "summary": [], "origin": ORIGIN}
    said = {"role": "assistant", "content": "Words"}
    call = {"type": "function_call", "call_id": "a", "name": "add", "arguments": "{}"}
    user = {"role": "user", "content": "Go on."}

    def kinds(*items: dict[str, Any]) -> list[str]:
        return [item["type"] for item in storable(items)]

    assert kinds(user, reasoning, said) == ["message", "reasoning", "message"]
    assert kinds(user, reasoning, reasoning, said) == ["message", "reasoning", "reasoning", "message"]
    assert kinds(user, reasoning, call, said) == ["message", "message"]
    assert kinds(user, reasoning, user) == ["message", "message"]
    assert kinds(user, reasoning, reasoning, call) == ["message"]
    search = {"type": "web_search_call", "id": "ws_1", "action": {"query": "q"}}
    assert kinds(user, reasoning, search, reasoning, said) == ["message", "message", "reasoning", "message"]


def test_call_that_the_client_answers_is_kept_under_its_id() -> None:
    call = {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}", "callerAgent": None}
    output = {"type": "function_call_output", "call_id": "a", "output": "3", "callerAgent": None}
    pair = [item["call_id"] for item in storable([call, output, call], {"a"})]
    assert pair[2] == "a"
    assert pair[0] == pair[1] != "a"
    assert storable([{**call, "callerAgent": "Entry", "agent": "Colleague"}], {"a"}) == []


def test_metadata_is_kept_and_not_sent() -> None:
    item = {"role": "user", "content": "x", "agent": "A", "callerAgent": None, "timestamp": 1, "citations": [1]}
    sent = {"type": "message", "role": "user", "content": "x"}
    assert storable([item]) == [{**sent, "agent": "A", "callerAgent": None, "timestamp": 1}]
    assert sendable([item], ORIGIN, chat=False, longest_id=64) == [sent]


def test_signature_goes_back_to_its_maker_only() -> None:
    call = {
        **{"type": "function_call", "call_id": "a", "name": "add", "arguments": "{}", "origin": ORIGIN},
        "provider_data": {"model": "gemini", "response_id": "r", "thought_signature": "s"},
    }
    output = {"type": "function_call_output", "call_id": "a", "output": "3"}
    mine, others = (sendable([call, output], who, chat=True, longest_id=40)[0] for who in (ORIGIN, "another"))
    assert mine["provider_data"] == {"model": "gemini", "thought_signature": "s"}
    assert "provider_data" not in others


def test_claimed_ids_are_unique_and_the_same_in_every_attempt() -> None:
    def run() -> list[str]:
        ids = UniqueIds([{"call_id": "call_0"}, {"role": "user"}])
        return [ids.claim(given, call) for call, given in (("m/0", "call_0"), ("m/1", "call_1"), ("n/0", "call_1"))]

    first = run()
    assert first == run()
    assert first[1] == "call_1"
    assert len({*first, "call_0"}) == 4
    resumed = UniqueIds()
    resumed.restore({"call_id": call_id} for call_id in first)
    assert resumed.claim("call_1", "o/0") not in first


SHELL = [
    {"type": "shell_call", "id": "sh_1", "call_id": "a", "status": "completed", "action": {"commands": ["ls"]}},
    {"type": "shell_call_output", "id": "sho_1", "call_id": "a", "output": [{"stdout": "x"}]},
]
LOCAL = [
    {"type": "local_shell_call", "id": "lsh_1", "call_id": "a", "status": "completed", "action": {"command": ["ls"]}},
    {"type": "local_shell_call_output", "call_id": "a", "output": "x"},
]
CUSTOM = [
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "a", "name": "sql", "input": "select 1"},
    {"type": "custom_tool_call_output", "call_id": "a", "output": "1"},
]


@pytest.mark.parametrize("pair", [SHELL, LOCAL, CUSTOM], ids=lambda pair: str(pair[0]["type"]))
def test_calls_of_other_tools_are_pairs_too_and_functions_to_chat(pair: list[dict[str, Any]]) -> None:
    user = {"role": "user", "content": "Go on."}
    call, output = storable(pair)
    assert (call["type"], output["type"], call["call_id"]) == (pair[0]["type"], pair[1]["type"], "a")
    assert call.get("id") not in {pair[0]["id"]}
    assert storable(pair[:1]) == storable(pair[1:]) == []
    check_chat({"messages": Converter.items_to_messages(sendable([*pair, user], ORIGIN, chat=True, longest_id=40))})
    assert [item["type"] for item in sendable(pair, ORIGIN, chat=False, longest_id=64)] == [
        item["type"] for item in pair
    ]
