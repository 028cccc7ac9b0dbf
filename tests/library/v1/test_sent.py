"""A field whose type is imported when it is sent is checked, dumped and described like one of that type."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from openai.types.responses import ResponseTextConfig, ToolChoiceFunction
from openai.types.shared import Reasoning
from pydantic import BaseModel, ConfigDict, ValidationError

from agency_lambda.protocol.lazy_types import LazyType


class Typed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    reasoning: Reasoning | None = None
    text: ResponseTextConfig | None = None
    tool_choice: Literal["auto"] | ToolChoiceFunction | None = None


class Lazy(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    reasoning: Annotated[Any, LazyType("openai.types.shared", "Reasoning")] | None = None
    text: Annotated[Any, LazyType("openai.types.responses", "ResponseTextConfig")] | None = None
    tool_choice: Literal["auto"] | Annotated[Any, LazyType("openai.types.responses", "ToolChoiceFunction")] | None = (
        None
    )


FORMAT = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}


def outcome(model: type[BaseModel], given: Any) -> Any:
    """The dumps, or the errors; the name of a union's branch is a matter of taste."""
    try:
        read = model.model_validate(given)
    except ValidationError as error:
        plain = json.dumps([[each["type"], each["loc"], each["msg"]] for each in error.errors()])
        return plain.replace("function-plain[_validate()]", "ToolChoiceFunction")
    return read.model_dump(mode="json", exclude_unset=True, by_alias=True), read.model_dump_json(exclude_unset=True)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"reasoning": None, "text": None, "tool_choice": None},
        {"reasoning": {"effort": "low"}, "text": {"format": FORMAT, "verbosity": "low"}},
        {"reasoning": {"effort": "low", "unknown": [1]}},
        {"reasoning": {"effort": 5}},
        {"reasoning": "low"},
        {"reasoning": [1]},
        {"text": {"format": {"type": "json_schema"}}},
        {"text": {"format": {"type": "nothing"}}},
        {"tool_choice": "auto"},
        {"tool_choice": "other"},
        {"tool_choice": {"type": "function"}},
        {"tool_choice": {"type": "function", "name": "f"}},
    ],
    ids=str,
)
def test_it_is_checked_and_dumped_as_the_type_would_be(given: Any) -> None:
    assert outcome(Lazy, given) == outcome(Typed, given)


def test_it_is_described_as_the_type_would_be() -> None:
    def whole(schema: Any, known: Any) -> Any:
        if isinstance(schema, dict) and "$ref" in schema:
            return whole(known[schema["$ref"].rpartition("/")[2]], known)
        if isinstance(schema, dict):
            return {key: whole(value, known) for key, value in schema.items() if key != "title"}
        return [whole(each, known) for each in schema] if isinstance(schema, list) else schema

    ours, typed = Lazy.model_json_schema(), Typed.model_json_schema()
    described = [whole(each["properties"], each["$defs"]) for each in (ours, typed)]
    assert described[0] == described[1]


def test_nothing_is_imported_before_one_is_sent() -> None:
    script = (
        "import sys\n"
        "from agency_lambda.protocol.request import CreateResponse\n"
        "CreateResponse.model_validate({'model': 'a', 'input': 'b', 'tool_choice': 'auto'})\n"
        "print('openai' in sys.modules)\n"
        "CreateResponse.model_validate({'model': 'a', 'input': 'b', 'reasoning': {'effort': 'low'}})\n"
        "print('openai' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["False", "True"]
