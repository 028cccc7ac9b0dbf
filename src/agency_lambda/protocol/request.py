"""The body of POST /v1/responses. An unsupported parameter is refused, never ignored."""

import json
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticSerializationError, to_json

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.lazy_types import LazyType, without_nulls

if TYPE_CHECKING:
    from openai.types.responses import FunctionTool, ResponseTextConfig, ToolChoiceFunction
    from openai.types.shared import Reasoning
else:
    Reasoning = Annotated[Any, LazyType("openai.types.shared", "Reasoning")]
    ResponseTextConfig = Annotated[Any, LazyType("openai.types.responses", "ResponseTextConfig")]
    ToolChoiceFunction = Annotated[Any, LazyType("openai.types.responses", "ToolChoiceFunction")]

# Parameters with fixed values, the default first.
_FIXED: dict[str, tuple[Any, ...]] = {
    "include": ([],),
    "service_tier": ("auto", "default"),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "stream_options": ({}, {"include_obfuscation": False}),
}

Text = Annotated[str, StringConstraints(min_length=1)]
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16),
]


class ConversationReference(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str


def _not_empty(value: str | list[Any]) -> str | list[Any]:
    if not (value.strip() if isinstance(value, str) else value):
        raise ValueError("must not be empty")
    return value


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
        try:
            text = to_json(body, inf_nan_mode="constants")
        except PydanticSerializationError:
            raise InvalidRequest("The body has half of a surrogate pair, which is no character.") from None
        if b"NaN" in text or b"Infinity" in text:
            _refuse_infinite(body)
        return without_nulls(body)


class CompactRequest(Body):
    """The body of POST /v1/responses/compact."""

    # An agency, or "agency/Agent".
    model: Text = Field(examples=["desk", "desk/Clerk"])
    input: Annotated[str | list[Any], AfterValidator(_not_empty)] | None = Field(
        default=None, examples=["Which appointments are free next week?"]
    )
    instructions: str | None = None
    previous_response_id: Text | None = None
    prompt_cache_key: str | None = None


class CreateResponse(CompactRequest):
    """The parameters of OpenAI's Responses API that agencies support."""

    input: Annotated[str | list[Any], AfterValidator(_not_empty)] = Field(
        examples=["Which appointments are free next week?"]
    )
    background: bool | None = None
    stream: bool | None = None
    store: bool | None = None
    conversation: Text | ConversationReference | None = None
    metadata: Metadata | None = None
    max_output_tokens: int | None = Field(default=None, ge=16)
    max_tool_calls: int | None = Field(default=None, ge=1)
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["auto", "none", "required"] | ToolChoiceFunction | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    reasoning: Reasoning | None = None
    text: ResponseTextConfig | None = None
    user: str | None = None
    safety_identifier: str | None = None
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
        _refuse_extra(self.reasoning, "reasoning")
        _refuse_extra(self.text, "text")
        _refuse_extra(self.text.format if self.text else None, "text.format")
        choice = self.tool_choice
        _refuse_extra(choice if isinstance(choice, BaseModel) else None, "tool_choice")
        declared = {tool.name for tool in self.function_tools}
        if choice is not None and not isinstance(choice, str) and choice.name not in declared:
            raise InvalidRequest(f"There is no function {choice.name!r} in 'tools'.", param="tool_choice")
        return self

    @property
    def stored(self) -> bool:
        return self.store is not False

    @cached_property
    def function_tools(self) -> "list[FunctionTool]":
        """Raises UnsupportedParameter for other tools, InvalidRequest for large schemas."""
        functions = [_function(tool, f"tools[{number}]") for number, tool in enumerate(self.tools or [])]
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


def _refuse_infinite(value: Any) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise InvalidRequest("NaN and Infinity are no JSON.") from None


def _without_nulls_in(name: str, value: Any) -> Any:
    # Nulls in schemas are the client's own.
    if name == "text" and isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items()}
    return without_nulls(value) if name in ("conversation", "stream_options") else value


def _refuse_extra(model: BaseModel | None, name: str) -> None:
    # The types of the openai package accept unknown fields.
    for extra in (model.model_extra or {}) if model else ():
        raise UnsupportedParameter(f"Unsupported parameter: {name + '.' + extra!r}.", param=f"{name}.{extra}")


def _function(tool: dict[str, Any], param: str) -> "FunctionTool":
    tool = without_nulls(tool)
    if tool.get("type") != "function":
        raise UnsupportedParameter(f"Tools of type {tool.get('type')!r} are not supported.", param=f"{param}.type")
    name = tool.get("name")
    if not isinstance(name, str) or len(name) > 64 or not name.replace("_", "").replace("-", "").isalnum():
        raise InvalidRequest("A function's name is 1 to 64 letters, digits, _ and -.", param=f"{param}.name")
    for field, kind in (("description", str), ("parameters", dict), ("strict", bool)):
        if field in tool and not isinstance(tool[field], kind):
            raise InvalidRequest(f"must be of type {kind.__name__}", param=f"{param}.{field}")
    extra = set(tool) - {"type", "name", "description", "parameters", "strict"}
    if extra:
        raise UnsupportedParameter(f"Unsupported parameter: {sorted(extra)[0]!r}.", param=f"{param}.{sorted(extra)[0]}")
    from openai.types.responses import FunctionTool  # loads the whole package

    return FunctionTool(
        type="function",
        name=name,
        description=tool.get("description"),
        parameters=tool.get("parameters"),
        strict=tool.get("strict"),
    )
