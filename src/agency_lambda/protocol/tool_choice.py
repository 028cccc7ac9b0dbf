"""The `tool_choice` of a request where it is an object."""

from typing import Annotated, Any, Literal

from openai.types.responses import ToolChoiceFunction
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from agency_lambda.errors import UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.item_types import type_label

_TYPES = ("function", "allowed_tools")


class AllowedFunction(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["function"]
    name: str


class AllowedTools(BaseModel):
    """The client's functions that the agent may call in this run. required: it has to call a tool first."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[AllowedFunction] = Field(min_length=1, max_length=bounds.TOOLS)


class ToolChoice(RootModel[Annotated[ToolChoiceFunction | AllowedTools, Field(discriminator="type")]]):
    @model_validator(mode="before")
    @classmethod
    def _check_types(cls, value: Any) -> Any:
        if isinstance(value, dict):
            _refuse_type(value, _TYPES, "tool_choice")
            tools = value.get("tools")
            for number, tool in enumerate(tools[: bounds.TOOLS] if isinstance(tools, list) else ()):
                if isinstance(tool, dict):
                    _refuse_type(tool, ("function",), f"tool_choice.tools[{number}]")
        return value


def _refuse_type(value: dict[str, Any], known: tuple[str, ...], param: str) -> None:
    if (kind := value.get("type")) not in known:
        message = f"A tool choice of type {type_label(kind)} is not supported."
        raise UnsupportedParameter(message, param=f"{param}.type")


def chosen_functions(choice: ToolChoiceFunction | AllowedTools) -> list[tuple[str, str]]:
    """Return the fields that name functions, and the names."""
    if isinstance(choice, ToolChoiceFunction):
        return [("tool_choice", choice.name)]
    return [(f"tool_choice.tools[{number}].name", tool.name) for number, tool in enumerate(choice.tools)]
