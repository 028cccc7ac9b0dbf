"""POST /v1/responses: what may be asked. What is not supported is refused by name, never ignored."""

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

# Accepted only as what we do anyway: (default first)
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
    """`{"id": "conv_..."}`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str


def _filled(given: str | list[Any]) -> str | list[Any]:
    if not (given.strip() if isinstance(given, str) else given):
        raise ValueError("must not be empty")
    return given


class Body(BaseModel):
    """A request's body: nothing unknown in it, and nothing that could not be kept or sent back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _sendable(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given  # no JSON, or no object: that is said elsewhere
        if len(given) > bounds.KEYS:  # a checker would list each of them as an error of its own
            raise bounds.over_limit(None, "parameters", bounds.KEYS)
        for name, value in given.items():
            if isinstance(value, dict) and len(value) > bounds.KEYS:
                raise bounds.over_limit(name, "entries", bounds.KEYS)
            if name == "tools" and isinstance(value, list) and len(value) > bounds.TOOLS:
                raise bounds.over_limit(name, "tools", bounds.TOOLS)
        try:
            text = to_json(given, inf_nan_mode="constants")
        except PydanticSerializationError:
            raise InvalidRequest("The body has half of a surrogate pair, which is no character.") from None
        if b"NaN" in text or b"Infinity" in text:
            _refuse_infinite(given)
        return without_nulls(given)


class CompactRequest(Body):
    """What both `responses` and `responses/compact` take. `model`: an agency, or "agency/Agent"."""

    model: Text = Field(examples=["desk", "desk/Clerk"])
    input: Annotated[str | list[Any], AfterValidator(_filled)] | None = Field(
        default=None, examples=["Which appointments are free next week?"]
    )
    instructions: str | None = None
    previous_response_id: Text | None = None
    prompt_cache_key: str | None = None


class CreateResponse(CompactRequest):
    """The parameters of OpenAI's Responses API that an agency can honour."""

    input: Annotated[str | list[Any], AfterValidator(_filled)] = Field(
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

    @model_validator(mode="before")
    @classmethod
    def _supported(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = {name: _without_nulls_in(name, value) for name, value in given.items()}
        for name, allowed in _FIXED.items():
            if given.get(name) is not None and given[name] not in allowed:
                said = f"{name!r} is not supported" + (f", other than {json.dumps(allowed[0])}." if allowed else ".")
                raise UnsupportedParameter(said, param=name)
        return {name: value for name, value in given.items() if name not in _FIXED}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
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
        """Kept, unless the client says no."""
        return self.store is not False

    @cached_property
    def function_tools(self) -> "list[FunctionTool]":
        """The declared tools; other kinds than functions are refused, and what would become too much of them."""
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
        """However it was written."""
        return self.conversation.id if isinstance(self.conversation, ConversationReference) else self.conversation


def _refuse_infinite(given: Any) -> None:
    try:
        json.dumps(given, allow_nan=False)
    except ValueError:
        raise InvalidRequest("NaN and Infinity are no JSON.") from None


def _without_nulls_in(name: str, value: Any) -> Any:
    """Return a parameter without the nulls of its objects, but with those that are the client's own: of schemas."""
    if name == "text" and isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items()}
    return without_nulls(value) if name in ("conversation", "stream_options") else value


def _refuse_extra(model: BaseModel | None, name: str) -> None:
    """OpenAI's own types let pass what they do not know."""
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
