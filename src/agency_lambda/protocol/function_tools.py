"""The functions of the client's own that a request declares; imported when one does."""

from typing import Any

from openai.types.responses import FunctionTool

from agency_lambda.errors import InvalidRequest, UnsupportedParameter

_FIXED = {"defer_loading": False, "async": False, "allowed_callers": ["direct"]}  # what it is without the field
_FIELDS = frozenset({"type", "name", "description", "parameters", "strict"})


def parse_function(tool: dict[str, Any], param: str) -> FunctionTool:
    """Raises UnsupportedParameter, InvalidRequest."""
    tool = {name: each for name, each in tool.items() if each is not None and _FIXED.get(name) != each}
    if tool.get("type") != "function":
        raise UnsupportedParameter(f"Tools of type {tool.get('type')!r} are not supported.", param=f"{param}.type")
    if extra := sorted(tool.keys() - _FIELDS):
        advice = " Chat Completions has it; here its fields are the tool's own." if extra[0] == "function" else ""
        raise UnsupportedParameter(f"Unsupported parameter: {extra[0]!r}.{advice}", param=f"{param}.{extra[0]}")
    name = tool.get("name")
    if not isinstance(name, str) or len(name) > 64 or not name.replace("_", "").replace("-", "").isalnum():
        raise InvalidRequest("A function's name is 1 to 64 letters, digits, _ and -.", param=f"{param}.name")
    for field, kind in (("description", str), ("parameters", dict), ("strict", bool)):
        if field in tool and not isinstance(tool[field], kind):
            raise InvalidRequest(f"must be of type {kind.__name__}", param=f"{param}.{field}")
    return FunctionTool(
        type="function",
        name=name,
        description=tool.get("description"),
        parameters=tool.get("parameters"),
        strict=tool.get("strict"),
    )
