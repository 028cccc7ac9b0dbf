"""An upper bound of what one model call may cost, from what is sent."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents import FunctionTool, Model, ModelSettings
from pydantic_core import to_json, to_jsonable_python

from agency_lambda.framework.models.calls import ModelRequest, name_of
from agency_lambda.framework.spending import Spending

# A token is at least a byte of text; what a provider adds around texts is in these constants.
_CALL, _ITEM, _TOOL = 256, 32, 64
_UNSEEN = 2_000  # tokens of room for what the framework adds to a run's first call
_MEDIA = ("image", "file", "audio", "video")
#: Settings that change no cost. Any other in `extra_args` or `extra_body` may, and is a kind without a bound.
_FREE = {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "text", "response_format"}
_FREE |= {"include", "metadata", "seed", "stop", "store", "verbosity", "reasoning_effort", "stream_options"}


def limited(request: ModelRequest, spending: Spending) -> ModelRequest:
    settings = request.settings
    return request if settings.max_tokens else replace(request, settings=_limited(settings, spending))


def _limited(settings: ModelSettings, spending: Spending) -> ModelSettings:
    return replace(settings, max_tokens=settings.max_tokens or spending.output_tokens)


def of_call(spending: Spending, model: Model, request: ModelRequest, *args: Any, **server_state: Any) -> Any:
    """Return the worst case of a call; its output must be limited.

    args: what the SDK passes behind the output schema, of which the first are the handoffs.

    Raises:
        UnboundedCost: nothing bounds it.
    """
    handoffs = args[0] if args else server_state.pop("handoffs", [])
    kinds = [name for name in ("previous_response_id", "conversation_id", "prompt") if server_state.get(name)]
    schema = request.output_schema
    extra = {} if schema is None or schema.is_plain_text() else schema.json_schema()
    size = _size([request.instructions, extra, request.settings.extra_args, request.settings.extra_body])
    return _worst(spending, model, size, request.items, [*request.tools, *handoffs], request.settings, kinds)


def of_first_call(
    spending: Spending,
    model: Model,
    instructions: Sequence[Any],
    items: Sequence[Any],
    tools: Sequence[Any],
    settings: ModelSettings,
) -> Any:
    """Return what a run's first call may cost, as far as it is known before the agents begin."""
    texts = [text for text in instructions if isinstance(text, str)]
    settings = _limited(settings, spending)
    return _worst(spending, model, _size(texts) + _UNSEEN, items, tools, settings, [])


def _worst(
    spending: Spending,
    model: Model,
    size: int,
    items: str | Sequence[Any],
    tools: Iterable[Any],
    settings: ModelSettings,
    unbounded: list[str],
) -> Any:
    texts, media = _without_media([items] if isinstance(items, str) else items)
    functions, hosted = _tools(tools)
    settings_kinds = {*(settings.extra_args or {}), *_keys(settings.extra_body)} - _FREE
    tokens = _CALL + size + _size(texts) + _ITEM * len(texts) + _size(functions) + _TOOL * len(functions)
    kinds = [*unbounded, *media, *hosted, *sorted(settings_kinds)]
    return spending.worst(name_of(model), tokens, settings.max_tokens or 0, kinds)


def _keys(body: Any) -> Iterable[str]:
    return body if isinstance(body, Mapping) else [] if body is None else ["extra_body"]


def _without_media(items: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Return items without images and files, and the kinds of these."""
    texts, kinds = list[Any](), list[str]()
    for item in items:
        if isinstance(item, Mapping):
            if item.get("type") == "item_reference":
                kinds.append("item_reference")
            for name in ("content", "output"):
                if isinstance(parts := item.get(name), list | Mapping):
                    parts = parts if isinstance(parts, list) else [parts]
                    found = [(part, _media(part)) for part in parts]
                    kinds += [kind for _, kind in found if kind]
                    item = {**item, name: [part for part, kind in found if not kind]}
        texts.append(item)
    return texts, kinds


def _media(part: Any) -> str:
    kind = str(part.get("type", "")) if isinstance(part, Mapping) else ""
    return next((name for name in _MEDIA if name in kind or "screenshot" in kind), "")


def _tools(tools: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Return what is sent of functions and handoffs, and the names of all other tools."""
    functions, hosted = list[Any](), list[str]()
    for tool in tools:
        if isinstance(tool, FunctionTool):
            functions.append([tool.name, tool.description, tool.params_json_schema])
        elif hasattr(tool, "input_json_schema"):
            functions.append([tool.tool_name, tool.tool_description, tool.input_json_schema])
        else:
            hosted.append(str(getattr(tool, "name", type(tool).__name__)))
    return functions, hosted


def _size(value: Any) -> int:
    try:
        return len(to_json(value, fallback=str))
    except ValueError:  # half of a surrogate pair
        return len(json.dumps(value, default=to_jsonable_python))
