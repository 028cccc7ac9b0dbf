"""Input items of every shape become one turn."""

from agency_lambda.offline import FinishedCall, read_turn


def test_a_bare_string_is_the_message():
    assert read_turn("hello", {}).message == "hello"


def test_content_parts_are_joined_and_images_passed_over():
    parts = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "x"},
        {"type": "input_text", "text": "b"},
    ]
    assert read_turn([{"role": "user", "content": parts}], {}).message == "a\nb"


def test_only_calls_since_the_latest_message_count():
    items = [
        {"role": "user", "content": "one"},
        {"type": "function_call", "call_id": "1", "name": "t", "arguments": '{"n": 1}'},
        {"type": "function_call_output", "call_id": "1", "output": "old"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
        {"type": "message", "role": "user", "content": "two"},
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "function_call", "call_id": "2", "name": "t", "arguments": '{"n": 2}'},
        {"type": "function_call", "call_id": "3", "name": "u", "arguments": "not json"},
        {"type": "function_call_output", "call_id": "3", "output": [{"type": "input_text", "text": "parts"}]},
        {"type": "function_call_output", "call_id": "2", "output": "new"},
        {"role": "system", "content": "a reminder"},
        None,
    ]
    turn = read_turn(items, {"t": {}})
    assert (turn.message, turn.earlier, turn.tools) == ("two", ["one"], {"t": {}})
    assert turn.calls == [FinishedCall("t", {"n": 2}, "new"), FinishedCall("u", {}, "parts")]


def test_a_call_without_an_output_and_no_message_at_all():
    turn = read_turn([{"type": "function_call", "name": "t", "arguments": "[1]"}], {})
    assert (turn.message, turn.calls) == ("", [FinishedCall("t", {}, "")])
