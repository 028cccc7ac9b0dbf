"""A chat's parameters as those of a response, and the names by which its client knows them."""

from collections.abc import Sequence
from typing import Any

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.chat.messages import to_items
from agency_lambda.protocol.chat.request import CreateChatCompletion
from agency_lambda.protocol.client_names import ClientNames, Place
from agency_lambda.protocol.item_types import refuse_unknown, type_label
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.types import Item

#: Parameters that have the same name and meaning in both protocols.
SAME = (
    *("model", "stream", "store", "metadata", "temperature", "top_p", "parallel_tool_calls", "user"),
    *("safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
)
_LEAST_TOKENS = 16  # that the Responses API takes as a limit
_PARTS = {"image_url": "image_url.url", "detail": "image_url.detail"}
_PARTS |= {name: f"file.{name}" for name in ("file_data", "file_id", "filename", "file_url")}
_CALLS = {"call_id": "id", "name": "function.name", "arguments": "function.arguments"}
_OUTPUTS = {"call_id": "tool_call_id", "output": "content", **_PARTS}
_SCHEMA_FIELDS = {"name", "description", "schema", "strict"}
_NAMES = {
    r"input(?!\[)": "messages",
    r"text\.verbosity": "verbosity",
    r"text\.format": "response_format",
    r"(tools\[\d+\])\.(name|description|parameters|strict)": r"\1.function.\2",
    r"tool_choice\.(tools\[\d+\])\.name": r"tool_choice.allowed_tools.\1.function.name",
    r"tool_choice\.(tools|mode)": r"tool_choice.allowed_tools.\1",
}


class ResponseParameters:
    """The body of a POST /v1/responses that is not validated yet, and the client's names of what is in it."""

    def __init__(self, chat: CreateChatCompletion) -> None:
        placed = to_items(chat.messages)
        self._limit = "max_tokens" if chat.max_completion_tokens is None else "max_completion_tokens"
        parameters = {**_NAMES, "max_output_tokens": self._limit}
        self.names = ClientNames(parameters, [_place(*each) for each in placed], in_text=False)
        same = {name: getattr(chat, name) for name in SAME}
        self.body: dict[str, Any] = {name: value for name, value in same.items() if value is not None}
        self.body["input"] = [item for _, item in placed]
        if (limit := getattr(chat, self._limit)) is not None:
            self.body["max_output_tokens"] = max(limit, _LEAST_TOKENS)
        if chat.tools:
            self.body["tools"] = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(chat.tools)]
        if chat.tool_choice is not None:
            self.body["tool_choice"] = _tool_choice(chat.tool_choice)
        if text := _text(chat):
            self.body["text"] = text
        if reasoning := _reasoning(chat):
            self.body["reasoning"] = reasoning

    def client_path(self, location: Sequence[int | str]) -> tuple[int | str, ...]:
        """Return the chat's place of what pydantic says of a response's parameter."""
        match location:
            case ["input", *_]:
                return ("messages",)
            case ["text", "verbosity", *_]:
                return ("verbosity",)
            case ["text", *_, str(field)] if field in _SCHEMA_FIELDS:
                return ("response_format", "json_schema", field)
            case ["text", *_]:
                return ("response_format",)
            case ["reasoning", "effort", *_]:
                return ("reasoning_effort",)
            case ["max_output_tokens", *_]:
                return (self._limit,)
        return tuple(location)


def _place(place: str, item: Item) -> Place:
    if item.get("type") == "function_call":
        return place, _CALLS if "tool_calls" in place else {}
    return place, _OUTPUTS if item.get("type") == "function_call_output" else _PARTS


def _tool(tool: dict[str, Any], param: str) -> dict[str, Any]:
    tool = without_nulls(tool)
    if tool.get("type") != "function":
        message = f"Tools of type {type_label(tool.get('type'))} are not supported."
        raise UnsupportedParameter(message, param=f"{param}.type")
    refuse_unknown(tool, {"type", "function"}, param)
    function = tool.get("function")
    if not isinstance(function, dict):
        raise InvalidRequest("must be an object", param=f"{param}.function")
    refuse_unknown(function, {"name", "description", "parameters", "strict"}, f"{param}.function")
    return {"type": "function", **function}


def _tool_choice(choice: str | dict[str, Any]) -> Any:
    """Return a named function, or those that are allowed, as a response has them."""
    if isinstance(choice, str):
        return choice
    kind = choice.get("type")
    if kind == "function":
        return _named(choice, "tool_choice")
    if kind != "allowed_tools":
        raise UnsupportedParameter(f"A choice of type {type_label(kind)} is not supported.", param="tool_choice.type")
    refuse_unknown(choice, {"type", kind}, "tool_choice")
    allowed, param = choice.get(kind), f"tool_choice.{kind}"
    if not isinstance(allowed, dict) or not isinstance(allowed.get("tools"), list):
        raise InvalidRequest("Allowed tools are a mode and a list.", param=param)
    refuse_unknown(allowed, {"mode", "tools"}, param)
    if len(allowed["tools"]) > bounds.TOOLS:
        raise bounds.over_limit(f"{param}.tools", "tools", bounds.TOOLS)
    tools = [_named(tool, f"{param}.tools[{number}]") for number, tool in enumerate(allowed["tools"])]
    return {"type": kind, "mode": allowed.get("mode"), "tools": tools}


def _named(tool: Any, param: str) -> dict[str, Any]:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            refuse_unknown(tool, {"type", "function"}, param)
            refuse_unknown(tool["function"], {"name"}, f"{param}.function")
            return {"type": "function", "name": name}
    raise InvalidRequest("A function is chosen by its name.", param=param)


def _text(chat: CreateChatCompletion) -> dict[str, Any]:
    text: dict[str, Any] = {} if chat.verbosity is None else {"verbosity": chat.verbosity}
    if chat.response_format is not None:
        text["format"] = _format(without_nulls(chat.response_format))
    return text


def _format(given: dict[str, Any]) -> dict[str, Any]:
    kind = given.get("type")
    if kind in ("text", "json_object"):
        refuse_unknown(given, {"type"}, "response_format")
        return given
    if kind != "json_schema":
        raise UnsupportedParameter(
            f"A format of type {type_label(kind)} is not supported.", param="response_format.type"
        )
    refuse_unknown(given, {"type", "json_schema"}, "response_format")
    named, param = given.get("json_schema"), "response_format.json_schema"
    if not isinstance(named, dict):
        raise InvalidRequest("must be an object", param=param)
    refuse_unknown(named, _SCHEMA_FIELDS, param)
    if not isinstance(named.get("schema", {}), dict):
        raise InvalidRequest("must be an object", param=f"{param}.schema")
    return {"type": kind, "schema": {}, **without_nulls(named)}


def _reasoning(chat: CreateChatCompletion) -> dict[str, Any]:
    reasoning = without_nulls(chat.reasoning or {})
    if chat.reasoning_effort is None:
        return dict(reasoning)
    if reasoning.get("effort") not in (None, chat.reasoning_effort):
        raise InvalidRequest(
            "Send either 'reasoning_effort' or 'reasoning.effort', not both.", param="reasoning_effort"
        )
    return {**reasoning, "effort": chat.reasoning_effort}
