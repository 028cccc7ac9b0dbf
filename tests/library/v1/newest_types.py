"""What a request may say by the newest types there are: of the openai packages for Python and Node, Open Responses'."""

import re
import typing
from pathlib import Path

import openresponses_types
from openai.types import responses, shared_params
from openai.types.responses import response_create_params
from openai.types.responses.response_input_item import ResponseInputItem
from pydantic import BaseModel

from tests.library.paths import ROOT

NODE = ROOT / "node_modules" / "openai" / "resources"
_FIELD = re.compile(r"^ {4}(?: {4})?(\w+)\??: (.*)$", re.MULTILINE)


def _node(name: str) -> str:
    path = NODE / f"{name}.d.ts"
    return path.read_text() if path.exists() else ""


TEXT = _node("responses/responses") + _node("shared")


def fields_in_node(name: str) -> dict[str, str]:
    """Return the fields of an interface, `Namespace.Name` or `Name`, and what is written as their types."""
    *namespace, own = name.split(".")
    text, indent = TEXT, ""
    if namespace:
        found = re.search(rf"^export declare namespace {namespace[0]} {{\n(.*?)^}}", TEXT, re.DOTALL | re.MULTILINE)
        text, indent = found[1] if found else "", "    "
    body = re.search(rf"^{indent}(?:export )?interface {own} .*?{{\n(.*?)^{indent}}}", text, re.DOTALL | re.MULTILINE)
    lines = body[1] if body else ""
    return dict(re.findall(rf"^{indent}    (\w+)\??: (.*)$", lines, re.MULTILINE))


def values_in_node(alias: str) -> set[str]:
    """Return the texts of a union such as `ServiceTier`."""
    found = re.search(rf"^export type {alias} = (.*?);", TEXT, re.DOTALL | re.MULTILINE)
    return set(re.findall(r"'([^']+)'", found[1])) if found else set()


def types_in_node(alias: str) -> set[str]:
    """Return the `type`s of the interfaces in a union such as `Tool`."""
    found = re.search(rf"^export type {alias} = (.*?);", TEXT, re.DOTALL | re.MULTILINE)
    names = re.findall(r"[\w.]+", found[1]) if found else []
    fields = [fields_in_node(name.removeprefix("ResponsesAPI.")) for name in names]
    return {kind for each in fields for kind in re.findall(r"'([^']+)'", each.get("type", ""))}


def types_in_python(union: object) -> set[str]:
    """Return the `type`s of the models in a union of the openai package."""
    found: set[str] = set()
    for each in typing.get_args(union):
        if isinstance(each, type) and issubclass(each, BaseModel) and "type" in each.model_fields:
            found |= literals(each.model_fields["type"].annotation)
        found |= types_in_python(each) if typing.get_args(each) else set()
    return found


def literals(annotation: object) -> set[str]:
    """Return the texts that a type consists of, however deep."""
    found = {each for each in typing.get_args(annotation) if isinstance(each, str)}
    return found.union(*(literals(each) for each in typing.get_args(annotation) if not isinstance(each, str)))


def parameters() -> set[str]:
    found = set(openresponses_types.CreateResponseBody.model_fields)
    for name in ("ResponseCreateParamsBase", "ResponseCreateParamsNonStreaming", "ResponseCreateParamsStreaming"):
        found |= set(typing.get_type_hints(getattr(response_create_params, name))) | set(fields_in_node(name))
    return found


def fields(model: type[BaseModel], in_node: str) -> set[str]:
    aliases = {field.alias or name for name, field in model.model_fields.items()}
    return aliases | set(fields_in_node(in_node))


def tool_types() -> set[str]:
    return types_in_node("Tool") | types_in_python(responses.Tool)


def tool_choice_types() -> set[str]:
    node = fields_in_node("ResponseCreateParamsBase").get("tool_choice", "")
    kinds = [fields_in_node(name).get("type", "") for name in re.findall(r"[\w.]+", node)]
    hints = typing.get_type_hints(response_create_params.ResponseCreateParamsBase)["tool_choice"]
    dicts = [each for each in typing.get_args(hints) if hasattr(each, "__total__")]
    found = {kind for each in kinds for kind in re.findall(r"'([^']+)'", each)}
    return found.union(*(literals(typing.get_type_hints(each)["type"]) for each in dicts))


def item_types() -> set[str]:
    return types_in_node("ResponseInputItem") | types_in_python(ResponseInputItem)


def part_types() -> set[str]:
    kinds = types_in_node("ResponseInputContent") | types_in_python(responses.ResponseInputContent)
    return kinds | literals(openresponses_types.InputVideoContent.model_fields["type"].annotation)


def values(name: str, alias: str) -> set[str]:
    """Return the texts that a parameter, or a field of `reasoning` or `text`, may be. alias: of Node's type."""
    holder, _, field = name.rpartition(".")
    hints = {
        "": response_create_params.ResponseCreateParamsBase,
        "reasoning": shared_params.Reasoning,
        "text": responses.response_text_config_param.ResponseTextConfigParam,
    }[holder]
    inline = set(re.findall(r"'([^']+)'", fields_in_node(alias).get(field, "")))
    return literals(typing.get_type_hints(hints)[field]) | values_in_node(alias) | inline


HAS_NODE = Path(NODE).exists()
