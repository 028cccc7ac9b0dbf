"""The parameters of a request that change what its addressed agent asks its model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents import AgentOutputSchemaBase, ModelSettings
from openai.types.responses import FunctionTool, ResponseFormatTextJSONSchemaConfig, ToolChoiceFunction
from openai.types.shared import ResponseFormatJSONObject

from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.models import ModelRequest
from agency_lambda.protocol.request import CreateResponse

_NO_SETTINGS = ModelSettings()  # comparing with it is cheaper than making another


class ClientOptions:
    """A request's options.

    chat: use the spelling of Chat Completions. at_openai: OpenAI itself is asked, and gets what others do not know.
    """

    def __init__(self, request: CreateResponse, *, chat: bool, at_openai: bool = False) -> None:
        self.tools: Sequence[ClientTool] = [ClientTool(tool) for tool in _allowed(request)]
        self.instructions, self._schema = request.instructions, _output_schema(request)
        self._settings = _settings(request, chat, at_openai)
        self._body: Mapping[str, Any] = self._settings.extra_body or {}  # type: ignore[assignment]
        self._settings_of_all = _settings_of_all_agents(request)
        self._changes = bool(self.instructions or self._schema or self._settings is not _NO_SETTINGS)
        self.any = bool(self._changes or self.tools or request.max_output_tokens is not None)

    def apply_to_all(self, request: ModelRequest) -> ModelRequest:
        if self._settings_of_all is _NO_SETTINGS:
            return request
        return replace(request, settings=request.settings.resolve(self._settings_of_all))

    def apply(self, request: ModelRequest) -> ModelRequest:
        """Return the addressed agent's request with the client's options."""
        if not self._changes:
            return request
        settings = request.settings.resolve(self._settings)
        if self._body and isinstance(own := request.settings.extra_body, Mapping):
            settings = replace(settings, extra_body={**own, **self._body})
        if self._settings.tool_choice:
            # It holds for the first call only: the agent would call tools for ever.
            self._settings = replace(self._settings, tool_choice=None)
        instructions = "\n\n".join(text for text in (request.instructions, self.instructions) if text)
        return replace(
            request,
            instructions=instructions or None,
            settings=settings,
            output_schema=self._schema or request.output_schema,
        )


def _settings(request: CreateResponse, chat: bool, at_openai: bool) -> ModelSettings:
    hints = {name: getattr(request, name) for name in ("user", "safety_identifier", "prompt_cache_key")}
    json_object = _json_object(request, chat)
    takes_verbosity = json_object is None or chat  # else it is in `json_object` already
    options: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "reasoning": request.reasoning,
        "verbosity": request.text.verbosity if request.text and takes_verbosity else None,
        "parallel_tool_calls": request.parallel_tool_calls,
        "tool_choice": _tool_choice(request),
        "prompt_cache_retention": request.prompt_cache_retention if at_openai else None,
        "extra_args": {name: value for name, value in hints.items() if value is not None} or None,
        "extra_body": _extra_body(request, json_object, at_openai),
    }
    return ModelSettings(**options) if any(value is not None for value in options.values()) else _NO_SETTINGS


def _tool_choice(request: CreateResponse) -> str | None:
    choice = request.tool_choice
    if choice is None or isinstance(choice, str):
        return choice
    if isinstance(choice, ToolChoiceFunction):
        return choice.name
    if choice.mode == "required" and len(choice.tools) == 1:
        return choice.tools[0].name
    return choice.mode


def _allowed(request: CreateResponse) -> list[FunctionTool]:
    choice = request.tool_choice
    if choice is None or isinstance(choice, str | ToolChoiceFunction):
        return request.function_tools
    allowed = {tool.name for tool in choice.tools}
    return [tool for tool in request.function_tools if tool.name in allowed]


def _extra_body(request: CreateResponse, json_object: dict[str, Any] | None, at_openai: bool) -> dict[str, Any] | None:
    # The SDK has no setting for these.
    cache = request.prompt_cache_options if at_openai else None
    if cache is None:
        return json_object
    return {**(json_object or {}), "prompt_cache_options": cache.model_dump(exclude_none=True)}


def _settings_of_all_agents(request: CreateResponse) -> ModelSettings:
    # A provider stores by default; `store: false` forbids it.
    if request.store is not False and request.truncation is None:
        return _NO_SETTINGS
    return ModelSettings(store=False if request.store is False else None, truncation=request.truncation)


def _json_object(request: CreateResponse, chat: bool) -> dict[str, Any] | None:
    # The SDK has no setting for a JSON object without a schema.
    text = request.text
    if text is None or not isinstance(text.format, ResponseFormatJSONObject):
        return None
    if chat:
        return {"response_format": {"type": "json_object"}}
    return {"text": text.to_dict(mode="json", exclude_none=True)}


def _output_schema(request: CreateResponse) -> AgentOutputSchemaBase | None:
    output_format = request.text.format if request.text else None
    return _ClientSchema(output_format) if isinstance(output_format, ResponseFormatTextJSONSchemaConfig) else None


class _ClientSchema(AgentOutputSchemaBase):
    """A schema for the model. The answer stays text: the client parses it."""

    def __init__(self, config: ResponseFormatTextJSONSchemaConfig) -> None:
        self._config = config

    def is_plain_text(self) -> bool:
        return False

    def name(self) -> str:
        return self._config.name

    def json_schema(self) -> dict[str, Any]:
        return self._config.schema_

    def is_strict_json_schema(self) -> bool:
        return bool(self._config.strict)

    def validate_json(self, json_str: str) -> Any:
        return json_str
