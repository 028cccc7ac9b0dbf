"""What a tool may return: anything that has a text, and the model is sent the same text live and after a crash."""

import copy
import enum
import math
import operator
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from agency_swarm import Agency, Agent, ToolOutputFileContent, ToolOutputImage, ToolOutputText, function_tool
from agents.items import ItemHelpers
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from agency_lambda import catalogue
from agency_lambda.framework.tool_output import from_journal_body, text_of, to_journal_body, to_sendable
from agency_lambda.store.encoding import decode_body, encode_body
from tests.library.conftest import Service
from tests.library.features.rows import holds
from tests.library.model_server import Failure, ModelServer


class Task(BaseModel):
    number: int
    due: datetime | None = None


@dataclass
class Point:
    x: Any
    y: float = math.nan


class Size(enum.StrEnum):
    SMALL = "small"


class Loud(str):
    def __str__(self) -> str:
        return self.upper()


class Level(enum.IntEnum):
    LOW = 1


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("secret")


Pair = namedtuple("Pair", "a b")
CYCLE: list[Any] = []
CYCLE.append(CYCLE)
PNG = "data:image/png;base64,iVBORw0KGgo="
KINDS: dict[str, Any] = {
    "text": "plain",
    "empty": "",
    "emoji_cut_in_two": "\ud83d half",
    "cut_in_a_dict": {"\ud83d": ["\udc00"]},
    "number": 7,
    "huge_number": 2**70,
    "number_without_a_text": 10**5000,
    "float": 0.1,
    "nan": math.nan,
    "infinite": [math.inf, -math.inf],
    "true": True,
    "none": None,
    "bytes": b"\xff\x00",
    "set": {3},
    "frozenset": frozenset({"a"}),
    "tuple": (1, "two"),
    "named_tuple": Pair(1, 2),
    "list": [1, [2, {"three": None}]],
    "dict": {"b": 1, "a": 2},
    "dict_of_numbers": {1: "one", None: "none"},
    "ordered": OrderedDict(a=1),
    "counter": Counter("abca"),
    "deque": deque([1]),
    "exception": ValueError("no such order"),
    "group": ExceptionGroup("several", [ValueError("one")]),
    "pydantic": Task(number=7, due=datetime(2026, 1, 2, tzinfo=UTC)),
    "pydantics": [Task(number=1), Task(number=2)],
    "dataclass": Point(x={1}),
    "enum": Size.SMALL,
    "int_enum": Level.LOW,
    "own_text": Loud("quiet"),
    "no_text": Mute(),
    "date": datetime(2026, 1, 2, tzinfo=UTC),
    "decimal": Decimal("1.10"),
    "uuid": UUID(int=7),
    "path": Path("a/b"),
    "type": Task,
    "function": operator.add,
    "iterator": iter([1]),
    "range": range(3),
    "complex": 1 + 2j,
    "cycle": CYCLE,
    "deep": (lambda build: build(build, 80))(lambda again, left: [again(again, left - 1)] if left else []),
    "large": "x" * 3_000_000,
    "many": list(range(100_000)),
    "output_text": ToolOutputText(text="read this"),
    "output_text_cut": ToolOutputText(text="\ud83d"),
    "output_image": ToolOutputImage(image_url=PNG, detail="low"),
    "output_file": ToolOutputFileContent(file_data="data:text/plain;base64,aGk=", filename="a.txt"),
    "outputs": [ToolOutputText(text="one"), ToolOutputImage(image_url=PNG)],
    "outputs_in_a_tuple": (ToolOutputText(text="one"), {"type": "text", "text": "two"}),
    "output_as_dict": {"type": "text", "text": "a dict"},
    "outputs_as_dicts": [{"type": "text", "text": "a dict"}],
    "outputs_and_more": [ToolOutputText(text="one"), "two"],
    "nothing": [],
}
CALL = ResponseFunctionToolCall(arguments="{}", call_id="c", name="give", type="function_call")


def sent(output: Any) -> Any:
    """What the SDK sends to the model for an output."""
    return ItemHelpers.tool_call_output_item(CALL, output)["output"]


def after_a_crash(output: Any) -> Any:
    return from_journal_body(decode_body(encode_body(to_journal_body(output)))[0])


def check(value: Any) -> None:
    live = to_sendable(value)
    replayed = after_a_crash(live)
    assert sent(replayed) == sent(live)
    assert text_of(replayed) == text_of(live)
    str(sent(live)).encode()
    assert after_a_crash(replayed) == replayed
    assert text_of(copy.deepcopy(replayed)) == text_of(live)  # openai-agents 0.24 copies items


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_the_same_live_and_after_a_crash(kind: str) -> None:
    check(KINDS[kind])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "cut" not in kind and "without" not in kind])
def test_what_has_a_text_stays_what_it_is_while_nothing_crashes(kind: str) -> None:
    if kind != "no_text":
        assert to_sendable(KINDS[kind]) is KINDS[kind]


@pytest.mark.parametrize("kind", ["number", "none", "list", "dict", "output_as_dict", "many"])
def test_what_json_can_hold_is_itself_after_a_crash(kind: str) -> None:
    """For code of the agency that reads it: hooks, and functions as `tool_use_behavior`."""
    assert after_a_crash(KINDS[kind]) == KINDS[kind]


def test_what_has_no_text_tells_the_model_so_and_nothing_else() -> None:
    assert "its result has no text (RuntimeError)" in to_sendable(Mute())
    assert "its result has no text (ValueError)" in to_sendable(10**5000)


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=9)
    | st.builds(Point, x=st.text()) | st.builds(Task, number=st.integers()) | st.sampled_from([*Size, *Level])
    | st.builds(Decimal, st.integers()) | st.builds(ValueError, st.text()) | st.builds(Loud, st.text())
    | st.builds(ToolOutputText, text=st.text(st.characters())) | st.frozensets(st.integers(), max_size=3)
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.just("type"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
@example({"type": "text", "text": "\ud800"})
def test_any_value_is_the_same_live_and_after_a_crash(value: Any) -> None:
    check(value)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.runs.outcome.BACKOFF", 0.01)


@holds("tool_outputs")
def test_a_run_that_is_taken_up_again_sends_the_same_and_calls_nothing_again(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    """Every kind at once, in a real run whose model is away when the tools have finished."""
    given_out: list[str] = []
    kinds = [kind for kind in KINDS if kind != "iterator"]  # one that is used up is another the next time

    @function_tool
    async def give(kind: str) -> Any:
        """Gives."""
        given_out.append(kind)
        return KINDS[kind]

    monkeypatch.setattr(
        catalogue, "factories", lambda: {"desk": lambda: Agency(Agent(name="Solo", instructions=".", tools=[give]))}
    )
    answers = [[("give", {"kind": kind}) for kind in kinds], Failure(503), "done"]
    with ModelServer(answers) as server:
        service = start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url)
        ended = service.in_attempts(2, "Give.")
        assert (ended["status"], sorted(given_out)) == ("completed", sorted(kinds))
        before, after = [
            [item["output"] for item in request.items if item["type"] == "function_call_output"]
            for request in server.requests[1:]
        ]
    assert before == after == [sent(to_sendable(KINDS[kind])) for kind in kinds]
