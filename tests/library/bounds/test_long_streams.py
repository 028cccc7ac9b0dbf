"""An item that grows by many deltas takes time in proportion to them, live and when an interrupted run is taken up."""

import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agency_lambda.protocol.output import OutputBuilder

MESSAGE = {"type": "message", "role": "assistant", "content": []}
CALL = {"type": "function_call", "name": "n", "call_id": "c", "arguments": ""}


def told(deltas: int) -> list[dict[str, Any]]:
    """The events of a message and a call that grow side by side."""
    events: list[dict[str, Any]] = []
    output = OutputBuilder(lambda kind, **fields: events.append({"type": kind, **fields}), "resp_1")
    message, call = output.open(MESSAGE, "msg_1"), output.open(CALL, "fc_1")
    for _ in range(deltas):
        message.add_text(0, "some words ")
        call.add_arguments("some words ")
    assert output.items[0]["content"][0]["text"] == output.items[1]["arguments"] == "some words " * deltas
    return events


def taken_up(events: list[dict[str, Any]], deltas: int) -> None:
    output = OutputBuilder(lambda kind, **fields: None, "resp_1")
    output.restore(events, {"msg_1", "fc_1"})
    assert output.items[0]["content"][0]["text"] == output.items[1]["arguments"] == "some words " * deltas
    output.open(MESSAGE, "msg_1").add_text("more", "and more")
    assert [part["text"] for part in output.items[0]["content"]] == ["some words " * deltas, "and more"]


def seconds(deltas: int) -> tuple[float, float]:
    """CPU of this thread: what the threads and the garbage of other tests cost is left out."""
    began = time.thread_time()
    events = told(deltas)
    between = time.thread_time()
    taken_up(events, deltas)
    return between - began, time.thread_time() - between


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
def test_ten_times_as_many_deltas_take_about_ten_times_as_long() -> None:
    few, many = ([seconds(deltas) for _ in range(3)] for deltas in (6_000, 60_000))
    for shorter, longer in zip(zip(*few, strict=True), zip(*many, strict=True), strict=True):
        assert min(longer) < 25 * min(shorter)


@pytest.mark.parametrize("told", [[], ["Fo"], ["Fo", "und."]])
@pytest.mark.parametrize("final", [["Found."], ["Found.", "More."]])
def test_what_of_the_whole_item_was_not_sent_is_sent_once(told: list[str], final: list[str]) -> None:
    events: list[dict[str, Any]] = []
    output = OutputBuilder(lambda kind, **fields: events.append({"type": kind, **fields}), "resp_1")
    message = output.open(MESSAGE)
    for delta in told:
        message.add_text(0, delta)
    message.close({"content": [{"type": "output_text", "text": text} for text in final]})
    assert [part["text"] for part in output.items[0]["content"]] == final
    assert [event["text"] for event in events if event["type"] == "response.output_text.done"] == final
    assert "".join(event["delta"] for event in events if "delta" in event) == "".join(final)


@pytest.mark.parametrize("until", range(8))
def test_a_run_that_is_taken_up_anywhere_goes_on_with_the_same_text(until: int) -> None:
    events: list[dict[str, Any]] = []
    output = OutputBuilder(lambda kind, **fields: events.append({"type": kind, **fields}), "resp_1")
    message = output.open(MESSAGE, "msg_1")
    for number in range(3):
        message.add_text(number % 2, f"part {number} ")
    resumed = OutputBuilder(lambda kind, **fields: None, "resp_1")
    resumed.restore(events[: until + 1], {"msg_1"})
    sofar = "".join(event["delta"] for event in events[: until + 1] if event["type"].endswith(".delta"))
    assert "".join(part["text"] for part in resumed.items[0]["content"]) == sofar
