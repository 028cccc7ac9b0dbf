"""Items and their events: balanced and in the standard order, whatever is told and wherever it ends."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.testing.replay import replayed

MESSAGE = {"type": "message", "role": "assistant", "content": []}
REASONING = {"type": "reasoning", "summary": []}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": ""}


@pytest.fixture
def told():
    return []


@pytest.fixture
def output(told):
    return output_to(told)


def output_to(told):
    return OutputBuilder(lambda kind, **fields: told.append({"type": kind, **fields}), "resp_1")


def kinds(told):
    return [event["type"].removeprefix("response.") for event in told]


def text(words, **more):
    return {"type": "output_text", "text": words, "annotations": [], "logprobs": [], **more}


def test_a_message_in_the_standard_order(output, told):
    item = output.open(MESSAGE)
    item.add_text(0, "")
    item.add_text(0, "Hello ")
    item.add_text(0, "world")
    item.close({**MESSAGE, "content": [text("Hello world")]})
    assert kinds(told) == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert replayed(told) == output.items
    assert [event["delta"] for event in told if "delta" in event] == ["Hello ", "world"]
    assert told[4]["text"] == "Hello world"
    assert told[5]["part"] == text("Hello world")
    assert told[6]["item"] == {
        **{"type": "message", "role": "assistant", "status": "completed"},
        **{"id": told[0]["item"]["id"], "content": [text("Hello world")]},
    }


def test_an_item_says_nothing_before_its_time(output, told):
    item = output.open(MESSAGE)
    item.add_text(0, "Hello")
    item.close()
    assert told[0]["item"]["content"] == []
    assert told[0]["item"]["status"] == "in_progress"
    assert told[1]["part"]["text"] == ""


def test_a_refusal(output, told):
    item = output.open(MESSAGE)
    item.add_text(0, "I can", kind="refusal")
    item.add_text(0, "not", kind="refusal")
    item.close({**MESSAGE, "content": [{"type": "refusal", "refusal": "I cannot"}]})
    assert kinds(told)[1:-1] == [
        *("content_part.added", "refusal.delta", "refusal.delta", "refusal.done", "content_part.done")
    ]
    assert replayed(told)[0]["content"] == [{"type": "refusal", "refusal": "I cannot"}]


def test_a_summary_in_two_parts(output, told):
    item = output.open(REASONING)
    item.add_text(0, "First", kind="summary_text")
    item.add_text(1, "second", kind="summary_text")
    item.close()
    part = ["part.added", "text.delta", "text.done", "part.done"]
    assert kinds(told)[1:-1] == [f"reasoning_summary_{name}" for name in part * 2]
    assert [part["text"] for part in replayed(told)[0]["summary"]] == ["First", "second"]


def test_a_new_part_closes_the_one_before_it(output, told):
    item = output.open(MESSAGE)
    item.add_text(0, "Well, ")
    item.add_text(1, "no.", kind="refusal")
    item.close()
    content = replayed(told)[0]["content"]
    assert content == [text("Well, "), {"type": "refusal", "refusal": "no."}]


def test_a_call(output, told):
    item = output.open(CALL)
    item.add_arguments('{"city": ')
    item.add_arguments('"Riga"}')
    item.close({**CALL, "arguments": '{"city": "Riga"}'})
    assert kinds(told) == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert told[3]["arguments"] == told[4]["item"]["arguments"] == '{"city": "Riga"}'
    assert replayed(told) == output.items


def test_what_was_never_streamed_is_told_at_the_end(output, told):
    links = [{"type": "url_citation", "url": "https://a", "title": "a", "start_index": 0, "end_index": 1}]
    output.open(MESSAGE).close({**MESSAGE, "content": [text("one", annotations=links), text("two")]})
    output.open(REASONING).close({**REASONING, "summary": [{"type": "summary_text", "text": "because"}]})
    output.open(CALL).close({**CALL, "arguments": "{}"})
    message, reasoning, call = replayed(told)
    assert message["content"] == [text("one", annotations=links), text("two")]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "because"}]
    assert call["arguments"] == "{}"
    assert [event["delta"] for event in told if "delta" in event] == ["one", "two", "because", "{}"]


def test_a_part_that_was_never_streamed_follows_the_one_that_was(output, told):
    item = output.open(MESSAGE)
    item.add_text(0, "one")
    item.close({**MESSAGE, "content": [text("one"), text("two"), text("three")]})
    assert [part["text"] for part in replayed(told)[0]["content"]] == ["one", "two", "three"]
    assert [event["delta"] for event in told if "delta" in event] == ["one", "two", "three"]


def test_the_final_text_wins_over_the_deltas(output, told):
    item, call = output.open(MESSAGE), output.open(CALL)
    item.add_text(0, "Helo")
    item.add_text(0, " wrld")
    call.add_arguments('{"city": "Rig')
    item.close({**MESSAGE, "content": [text("Hello world")]})
    call.close({**CALL, "arguments": '{"city": "Riga"}'})
    message, called = replayed(told)
    assert message["content"] == [text("Hello world")]
    assert called["arguments"] == '{"city": "Riga"}'
    assert [event["text"] for event in told if event["type"] == "response.output_text.done"] == ["Hello world"]


def test_a_second_close_is_silent(output, told):
    item = output.open(MESSAGE)
    item.add_text(0, "Hello")
    item.close()
    told.clear()
    item.close()
    item.close({**MESSAGE, "content": [text("something else")]}, status="incomplete")
    output.close()
    assert told == []
    assert (output.items[0]["status"], output.items[0]["content"]) == ("completed", [text("Hello")])


def test_what_is_open_at_the_end_is_incomplete(output, told):
    message, call, done = output.open(MESSAGE), output.open(CALL), output.open(REASONING)
    message.add_text(0, "Dear")
    call.add_arguments('{"ci')
    done.close()
    output.close()
    assert [item["status"] for item in replayed(told)] == ["incomplete", "incomplete", "completed"]
    assert output.items[0]["content"] == [text("Dear")]


def test_items_that_grow_side_by_side_keep_their_index_and_id(output, told):
    one, other, call = output.open(MESSAGE), output.open(MESSAGE), output.open(CALL)
    other.add_text(0, "o")
    one.add_text(0, "1")
    call.add_arguments("{")
    other.add_text(0, "ther")
    other.close()
    one.add_text(1, "!")
    call.close({**CALL, "arguments": "{}"})
    one.close()
    items = replayed(told)
    assert items == output.items
    texts = ["".join(part["text"] for part in item.get("content", [])) for item in items]
    assert texts == ["1!", "other", ""]
    assert len({item["id"] for item in items}) == 3
    assert [item["id"].split("_")[0] for item in items] == ["msg", "msg", "fc"]


def test_ids_are_our_own(output):
    for _ in range(2):
        output.add({**MESSAGE, "id": "__fake_id__", "status": "completed", "content": [text("a")]})
    one, other = output.items
    assert one["id"] != other["id"]
    assert "__fake_id__" not in (one["id"], other["id"])


def test_what_is_added_whole_is_told_like_what_grew(output, told):
    whole = [
        {**MESSAGE, "content": [text("a"), {"type": "refusal", "refusal": "b"}]},
        {**REASONING, "summary": [{"type": "summary_text", "text": "c"}]},
        {**CALL, "arguments": '{"d": 1}'},
    ]
    for item in whole:
        output.add(item)
    items = replayed(told)
    assert items == output.items
    assert [{key: item[key] for key in given} for item, given in zip(items, whole, strict=True)] == whole


def test_items_are_copies(output, told):
    item = output.open(MESSAGE)
    item.add_text(0, "a")
    before = output.items
    item.add_text(0, "b")
    item.add_text(1, "c")
    item.close()
    assert [part["text"] for part in before[0]["content"]] == ["a"]
    assert told[0]["item"]["content"] == []
    assert MESSAGE["content"] == []


ACTIVITY = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "A uses b"}], "agent": "A", "tool": "b"}


def test_an_activity_streams_its_summary(output, told):
    activity = output.open(ACTIVITY, "rs_1")
    assert kinds(told) == [
        "output_item.added",
        *(f"reasoning_summary_{name}" for name in ("part.added", "text.delta", "text.done", "part.done")),
    ]
    assert told[0]["item"] == {**ACTIVITY, "id": "rs_1", "status": "in_progress", "summary": []}
    activity.close()
    assert kinds(told)[5:] == ["output_item.done"]
    assert replayed(told) == [{**ACTIVITY, "id": "rs_1", "status": "completed"}]


@pytest.mark.parametrize("until", [0, 1, 2, 3, 5, 6])
def test_an_activity_goes_on_wherever_its_attempt_was_interrupted(output, told, until):
    """Not between the ends of its text and of its part: they are stored together."""
    output.open(ACTIVITY, "rs_1").close()
    assert len(told) == 6
    events = told[:until]
    resumed = output_to(events)
    resumed.restore([*events], set())
    resumed.open(ACTIVITY, "rs_1").close()
    assert events == told
    assert resumed.items == output.items


def test_an_activity_that_an_earlier_version_has_stored_is_not_told_again():
    """Its summary was whole when it began."""
    events = [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**ACTIVITY, "id": "rs_1", "status": "in_progress"},
        }
    ]
    resumed = output_to(events)
    resumed.restore([*events], set())
    resumed.open(ACTIVITY, "rs_1").close()
    assert kinds(events) == ["output_item.added", "output_item.done"]
    assert events[1]["item"] == resumed.items[0] == {**ACTIVITY, "id": "rs_1", "status": "completed"}


@pytest.mark.parametrize(("whole", "rest"), [("Hello, you", [", you"]), ("Hello", []), ("Other", [])])
def test_text_that_comes_after_the_end_of_its_item_is_an_item_of_its_own(output, told, whole, rest):
    output.open(MESSAGE, "msg_1").add_text(0, "Hello")
    output.open(MESSAGE, "msg_1").close()
    for _ in range(2):  # an answer that is replayed adds nothing
        output.add({**MESSAGE, "content": [text(whole)]}, "msg_1")
    assert [item["content"] for item in replayed(told)] == [[text("Hello")], *([text(each)] for each in rest)]
    assert replayed(told) == output.items


WORDS = st.text(alphabet="ab \u00e4", max_size=3)
KIND = st.sampled_from(["output_text", "refusal"])


def part(kind, words):
    return text(words) if kind == "output_text" else {"type": "refusal", "refusal": words}


@st.composite
def speaking(draw):
    """What is told of one message: its parts one after the other, in pieces; and how it ends.

    The final item may have more parts, or another text for the part that is still open; what is closed is closed.
    """
    steps, told = [], []
    for number, kind in enumerate(draw(st.lists(KIND, max_size=3))):
        pieces = draw(st.lists(WORDS, min_size=1, max_size=3))
        steps += [("text", number, words, kind) for words in pieces]
        told.append((kind, "".join(pieces)))
    *closed, last = told or [("output_text", "")]
    final = [
        part(*each) for each in (*closed, (last[0], draw(WORDS)), *draw(st.lists(st.tuples(KIND, WORDS), max_size=2)))
    ]
    end = ("close", draw(st.sampled_from([None, [], final])), draw(st.sampled_from(["completed", "incomplete"])))
    return [*steps, *[end] * draw(st.integers(0, 2))]


@st.composite
def calling(draw):
    steps = [("arguments", words) for words in draw(st.lists(WORDS, max_size=3))]
    return [*steps, *[("close", draw(st.none() | WORDS), "completed")] * draw(st.integers(0, 2))]


def take(item, step):
    match step:
        case ("text", number, words, kind):
            item.add_text(number, words, kind)
        case ("arguments", words):
            item.add_arguments(words)
        case ("close", None, status):
            item.close(status=status)
        case ("close", str() as arguments, status):
            item.close({**CALL, "arguments": arguments}, status)
        case ("close", content, status):
            item.close({**MESSAGE, "content": content}, status)


@hypothesis_settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.just(MESSAGE), speaking()) | st.tuples(st.just(CALL), calling()), max_size=4), st.randoms()
)
def test_however_it_comes_everything_that_opens_closes_once(plans, chance):
    told = []
    output = output_to(told)
    queues = [(output.open(item), [*steps]) for item, steps in plans]
    while queues := [(item, steps) for item, steps in queues if steps]:
        item, steps = chance.choice(queues)
        take(item, steps.pop(0))
    output.close()
    assert replayed(told) == output.items


@given(st.lists(st.tuples(KIND, WORDS), max_size=6), st.permutations(["output_text", "refusal"]))
def test_a_final_item_in_another_order_than_its_deltas_repeats_and_loses_no_words(deltas, order):
    told = []
    item = output_to(told).open(MESSAGE)
    for kind, words in deltas:
        item.add_text((kind, 0), words, kind)
    whole = {kind: "".join(words for each, words in deltas if each == kind) for kind in order}
    item.close({**MESSAGE, "content": [part(kind, words) for kind, words in whole.items() if words]})
    (message,) = replayed(told)
    for kind, field in (("output_text", "text"), ("refusal", "refusal")):
        assert "".join(each.get(field, "") for each in message["content"]) == whole[kind]
