"""What a decision may say, and what it costs to say more."""

import json
import time
from typing import Any

import pytest

from agency_lambda.approvals.validation import checked
from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.approvals import Decision
from tests.library.approvals.rows import request

FREE, COLOURS = '{"question": "Why?"}', '{"question": "Which?", "choices": ["red", "blue"]}'


def arguments(value: Any, **changed: Any) -> Decision:
    return Decision(approve=True, arguments=json.dumps(value), **changed)


def refused(asked: Any, decision: Decision) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        checked(asked, decision)
    return caught.value


def test_arguments_that_match_are_taken() -> None:
    decision = arguments({"to": ["bob@example.com"], "text": "Dear Bob"})
    assert checked(request(), decision) == decision


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"to": ["x", 1], "text": ""}, "arguments.to[1]"),
        ({"to": [], "text": "x" * 51}, "arguments.text"),
        ({"to": []}, "arguments"),
        ({"to": [], "text": "", "cc": 1}, "arguments"),
        ([1], "arguments"),
        ({"to": ["x"] * 1000, "text": ""}, "arguments"),
        ({"to": ["x" * 100_000], "text": ""}, "arguments"),
    ],
)
def test_path_of_wrong_arguments_is_named(value: Any, param: str) -> None:
    error = refused(request(), arguments(value))
    assert (error.param, error.status) == (param, 400)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("changed", "approve"),
    [({"schema": None}, True), ({"kind": "repeat"}, True), ({"kind": "question"}, True), ({}, False)],
)
def test_arguments_are_refused_where_nobody_may_change_them(changed: dict[str, Any], approve: bool) -> None:
    decision = Decision(approve=approve, reason="red", arguments='{"to": [], "text": ""}')
    assert refused(request(**changed), decision).param == "arguments"


@pytest.mark.parametrize(
    ("asked", "answer", "is_right"),
    [
        (FREE, "Because.", True),
        (FREE, None, False),
        (FREE, "  ", False),
        (COLOURS, "red", True),
        (COLOURS, "green", False),
        ("no JSON", "red", True),
    ],
)
def test_question_needs_an_answer_that_is_a_choice(asked: str, answer: str | None, is_right: bool) -> None:
    question, decision = request(kind="question", arguments=asked), Decision(approve=True, reason=answer)
    if is_right:
        assert checked(question, decision).reason == answer
    else:
        assert refused(question, decision).param == "answer"
    assert checked(question, Decision(approve=False)).reason is None


def test_long_reason_is_refused() -> None:
    assert refused(request(), Decision(approve=False, reason="x" * 10_001)).param == "reason"


def test_schema_of_nested_unions_costs_little() -> None:
    branch = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}, "x": {"type": "string"}}}
    schema = {"$ref": "#/$defs/N", "$defs": {"N": {"anyOf": [branch, branch | {"title": "other"}]}}}
    value: dict[str, Any] = {"x": 1}
    for _ in range(50):  # 2 ** 50 ways to fail
        value = {"n": value}
    began = time.process_time()
    assert "cannot be checked" in str(refused(request(schema=schema), arguments(value)))
    assert time.process_time() - began < 2.0


def test_schema_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()
    monkeypatch.setattr("urllib.request.urlopen", lambda *request: asked.append(request))
    error = refused(request(schema={"$ref": "http://127.0.0.1:9/schema.json"}), arguments({}))
    assert "cannot be checked" in str(error)
    assert asked == []
