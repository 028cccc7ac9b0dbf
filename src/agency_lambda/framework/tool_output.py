"""Converts tool outputs to JSON for the journal and back, with the same text for the model."""

import math
from collections.abc import Iterator
from typing import Any

from agents.items import ItemHelpers
from openai.types.responses import ResponseFunctionToolCall
from pydantic_core import to_json

from agency_lambda.protocol.surrogates import replace_surrogates

_MAX_DEPTH = 50  # levels of lists and objects that are stored as JSON
_MAX_INTEGER = 2**63  # many JSON readers have 64 bits
_CHANGED = "A person approved this call with other arguments, which were used: {arguments}"
_CALL = ResponseFunctionToolCall(arguments="{}", call_id="", name="", type="function_call")


class JournaledOutput(str):
    """The text of an output that is no JSON. final: its text as final output."""

    __slots__ = ("final",)
    final: str

    def __new__(cls, text: str, final: str) -> "JournaledOutput":
        output = super().__new__(cls, text)
        output.final = final
        return output

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Return what a copy is made of: openai-agents 0.24 copies the items of a run."""
        return JournaledOutput, (str(self), self.final)


def to_sendable(output: Any) -> Any:
    """Return an output, or a replacement if its text cannot be sent."""
    if type(output) is str:
        return replace_surrogates(output)
    if _is_plain(output):
        return output
    if structured := _structured(output):
        return output if _is_sendable(structured) else replace_surrogates(structured)
    try:
        text = str(output)
    except Exception as error:  # noqa: BLE001 - the tool's own __str__
        return f"An error occurred while running the tool: its result has no text ({type(error).__name__})."
    return output if _is_sendable(text) else replace_surrogates(text)


def with_arguments(output: Any, arguments: str) -> Any:
    """Return an output that begins with the arguments that a person gave in place of the model's."""
    line = _CHANGED.format(arguments=arguments)
    structured = _structured(output)
    if not structured:
        return f"{line}\n{_sent_text(output)}"
    parts = structured if isinstance(structured, list) else [structured]
    return [{"type": "text", "text": line}, *parts]


def to_journal_body(output: Any) -> dict[str, Any]:
    if _is_plain(output):
        return {"output": output}
    if structured := _structured(output):
        return {"output": structured}
    return {"output": _sent_text(output), "final": text_of(output)}


def from_journal_body(body: dict[str, Any]) -> Any:
    return JournaledOutput(body["output"], body["final"]) if "final" in body else body["output"]


def text_of(output: Any) -> str:
    """Return the text of a final output: a string, JSON, or its `str()`."""
    if isinstance(output, JournaledOutput):
        return output.final
    if output is None or isinstance(output, str | Iterator):  # JSON would use an iterator up
        return str(replace_surrogates("" if output is None else str(output)))
    try:
        return to_json(output).decode()
    except (ValueError, RecursionError):
        return str(replace_surrogates(str(output)))


def _sent_text(output: Any) -> str:
    """Return the text that a model is sent: openai-agents 0.24 takes a `str` for its letters, 0.18 asks `__str__`."""
    return str.__str__(ItemHelpers.tool_call_output_item(_CALL, output)["output"])


def _is_sendable(value: Any) -> bool:
    return (isinstance(value, str) and value.isascii()) or replace_surrogates(value) is value


def _is_plain(value: Any, levels: int = _MAX_DEPTH) -> bool:
    """Return whether a value survives JSON with the same `str()`."""
    kind = type(value)  # a subclass may have another text
    if value is None or kind is bool:
        return True
    if kind is str:
        return _is_sendable(value)
    if kind is int:
        return -_MAX_INTEGER <= int(value) < _MAX_INTEGER
    if kind is float:
        return math.isfinite(value)
    if not levels:
        return False
    if kind is list:
        return all(_is_plain(each, levels - 1) for each in value)
    if kind is dict:
        return all(type(key) is str and _is_plain(key) and _is_plain(each, levels - 1) for key, each in value.items())
    return False


def _structured(output: Any) -> Any:
    # None for anything that is no text, image or file of the SDK.
    if isinstance(output, list | tuple):
        parts = [_part(each) for each in output]
        return parts if parts and all(parts) else None
    return _part(output)


def _part(output: Any) -> dict[str, Any] | None:
    part = ItemHelpers._maybe_get_output_as_structured_function_output(output)
    if part is None:
        return None
    return output if _is_plain(output) else part.model_dump()
