"""The body of POST /v1/responses. An unsupported parameter is refused; docs/api.md lists what changes nothing."""

import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.lazy_types import DocumentedAs, LazyType, without_nulls
from agency_lambda.protocol.surrogates import check_json

if TYPE_CHECKING:
    from openai.types.responses import FunctionTool, ResponseTextConfig, ToolChoiceFunction

    from agency_lambda.protocol.options import PromptCacheOptions, StreamOptions
    from agency_lambda.protocol.reasoning import Reasoning
    from agency_lambda.protocol.tool_choice import AllowedTools

    ToolChoice = ToolChoiceFunction | AllowedTools
else:
    Reasoning = Annotated[Any, LazyType("agency_lambda.protocol.reasoning", "Reasoning")]
    ResponseTextConfig = Annotated[Any, LazyType("openai.types.responses", "ResponseTextConfig")]
    ToolChoice = Annotated[Any, LazyType("agency_lambda.protocol.tool_choice", "ToolChoice")]
    StreamOptions = Annotated[Any, LazyType("agency_lambda.protocol.options", "StreamOptions")]
    PromptCacheOptions = Annotated[Any, LazyType("agency_lambda.protocol.options", "PromptCacheOptions")]

# Parameters with fixed values, the default first.
_FIXED: dict[str, tuple[Any, ...]] = {
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "background_options": ({"completion_window": "soonest"}, {}),
    "context_management": ([],),
    "image": ({"context_compression": "auto"}, {}),
}

_TYPES = "agency_lambda.openapi.inputs"

Text = Annotated[str, StringConstraints(min_length=1)]
Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Include = Annotated[list[Includable], Field(max_length=bounds.PART_LISTS, fail_fast=True)]
ENCRYPTED_REASONING: Includable = "reasoning.encrypted_content"


def _checked_metadata(value: Any) -> Any:
    if value and isinstance(value, dict):
        from agency_lambda.protocol.metadata import check_metadata  # few requests have some

        check_metadata(value)
    return value


Metadata = Annotated[dict[str, str], BeforeValidator(_checked_metadata)]


class ConversationReference(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str


def _not_empty(value: str | list[Any]) -> str | list[Any]:
    if not (value.strip() if isinstance(value, str) else value):
        raise ValueError("must not be empty")
    return value


Input = Annotated[str | list[Any], AfterValidator(_not_empty), DocumentedAs(_TYPES, "Input")]


class Body(BaseModel):
    """A request body within the bounds, without unknown fields and values that JSON cannot hold."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _check_bounds(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body  # pydantic refuses it
        if len(body) > bounds.KEYS:  # pydantic would list each as an error
            raise bounds.over_limit(None, "parameters", bounds.KEYS)
        for name, value in body.items():
            if isinstance(value, dict) and len(value) > bounds.KEYS:
                raise bounds.over_limit(name, "entries", bounds.KEYS)
            if name == "tools" and isinstance(value, list) and len(value) > bounds.TOOLS:
                raise bounds.over_limit(name, "tools", bounds.TOOLS)
        check_json(body)
        return without_nulls(body)


class CompactRequest(Body):
    """The body of POST /v1/responses/compact."""

    # An agency, or "agency/Agent".
    model: Text = Field(examples=["desk", "desk/Clerk"])
    input: Input | None = Field(default=None, examples=["Which appointments are free next week?"])
    instructions: str | None = None
    previous_response_id: Text | None = None
    prompt_cache_key: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    prompt_cache_options: PromptCacheOptions | None = None


class CreateResponse(CompactRequest):
    """The parameters of OpenAI's Responses API that agencies support."""

    input: Input = Field(examples=["Which appointments are free next week?"])
    background: bool | None = None
    include: Include | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    conversation: Text | ConversationReference | None = None
    metadata: Metadata | None = None
    max_output_tokens: int | None = Field(default=None, ge=16)
    max_tool_calls: int | None = Field(default=None, ge=1)
    tools: Annotated[list[dict[str, Any]], DocumentedAs(_TYPES, "Tools")] | None = None
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    reasoning: Reasoning | None = None
    text: ResponseTextConfig | None = None
    user: str | None = None
    safety_identifier: str | None = None
    client_metadata: dict[str, str] | None = Field(default=None, description="of the client's own; nothing reads it")
    truncation: Literal["auto", "disabled"] | None = None
    cancel_waiting: bool | None = Field(default=None, description="a run of the conversation that waits for a person")

    @model_validator(mode="before")
    @classmethod
    def _check_fixed(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        body = {name: _without_nulls_in(name, value) for name, value in body.items()}
        for name, allowed in _FIXED.items():
            if body.get(name) is not None and body[name] not in allowed:
                message = f"{name!r} is not supported, other than {json.dumps(allowed[0])}."
                raise UnsupportedParameter(message, param=name)
        return {name: value for name, value in body.items() if name not in _FIXED}

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.conversation is not None and self.previous_response_id is not None:
            raise InvalidRequest(
                "Send either 'conversation' or 'previous_response_id', not both.", param="previous_response_id"
            )
        if self.conversation is not None and not self.stored:
            raise InvalidRequest("A conversation keeps what is said in it: 'store' cannot be false.", param="store")
        _refuse_extra(self.text, "text")
        _refuse_extra(self.text.format if self.text else None, "text.format")
        choice = self.tool_choice
        _refuse_extra(choice if isinstance(choice, BaseModel) else None, "tool_choice")
        declared = {tool.name for tool in self.function_tools}
        if isinstance(choice, BaseModel):
            from agency_lambda.protocol.tool_choice import chosen_functions  # imported with the choice

            for field, name in chosen_functions(choice):
                if name not in declared:
                    raise InvalidRequest(f"There is no function {name[:99]!r} in 'tools'.", param=field)
        return self

    @property
    def wants_encrypted_reasoning(self) -> bool:
        return ENCRYPTED_REASONING in (self.include or ())

    @property
    def wants_obfuscation(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_obfuscation)

    @property
    def stored(self) -> bool:
        return self.store is not False

    @cached_property
    def function_tools(self) -> "list[FunctionTool]":
        """Raises UnsupportedParameter for other tools, InvalidRequest for large schemas."""
        functions = _functions(self.tools) if self.tools else []
        schemas = [
            (tool.parameters, bool(tool.strict), f"tools[{number}].parameters") for number, tool in enumerate(functions)
        ]
        bounds.check_schemas(
            [*schemas, (getattr(self.text and self.text.format, "schema_", None), False, "text.format")]
        )
        return functions

    @property
    def conversation_id(self) -> str | None:
        return self.conversation.id if isinstance(self.conversation, ConversationReference) else self.conversation


def _without_nulls_in(name: str, value: Any) -> Any:
    # Nulls in schemas are the client's own.
    if name == "text" and isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items()}
    return without_nulls(value) if name in ("conversation", *_FIXED) else value


def _refuse_extra(model: BaseModel | None, name: str) -> None:
    # The types of the openai package accept unknown fields.
    for extra in (model.model_extra or {}) if model else ():
        raise UnsupportedParameter(f"Unsupported parameter: {name + '.' + extra!r}.", param=f"{name}.{extra}")


def _functions(tools: list[dict[str, Any]]) -> "list[FunctionTool]":
    from agency_lambda.protocol.function_tools import parse_function  # with a type of the openai package

    return [parse_function(tool, f"tools[{number}]") for number, tool in enumerate(tools)]
