"""The response object, every field of Open Responses in it."""

import time
from typing import Any

from starlette.responses import JSONResponse

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.types import Item

ResponseObject = dict[str, Any]
FINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""A response in one of these does not change any more."""
_REPEATED = (
    *("instructions", "tools", "text", "tool_choice", "metadata", "reasoning", "model"),
    *("previous_response_id", "prompt_cache_key", "safety_identifier", "user"),
)


def new_response(request: CreateResponse, response_id: str, conversation: str | None) -> ResponseObject:
    """Return a response that has just begun.

    Raises:
        InvalidRequest: what it repeats of the request leaves too little room for the output.
    """
    reasoning = request.reasoning.to_dict(mode="json") if request.reasoning else {}
    response = {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "queued" if request.background else "in_progress",
        "background": bool(request.background),
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        **({"conversation": {"id": conversation}} if conversation else {}),
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": request.stored,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": _text(request),
        "tool_choice": _tool_choice(request),
        "tools": [tool.to_dict(mode="json") for tool in request.function_tools],
        "top_logprobs": 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "truncation": request.truncation or "disabled",
        "usage": None,
        "user": request.user,
    }
    _refuse_large(response)
    return response


def _refuse_large(response: ResponseObject) -> None:
    if bounds.size(response) <= bounds.WITHOUT_OUTPUT:
        return
    sizes = {name: bounds.size(response[name]) for name in _REPEATED}
    largest = max(sizes, key=sizes.__getitem__)
    raise InvalidRequest(
        f"{largest} takes {sizes[largest]:,} bytes in the response, which repeats it: all that it repeats may take "
        f"{bounds.WITHOUT_OUTPUT:,} bytes.",
        param=largest,
    )


def fit_output(response: ResponseObject, output: list[Item]) -> list[Item]:
    """Return the first items of an output with which a response can still be sent back whole."""
    left, kept = bounds.RESOURCE - bounds.size({**response, "output": []}), list[Item]()
    for item in output:
        left -= bounds.size(item) + 1
        if left < 0:
            break
        kept.append(item)
    return kept


def _text(request: CreateResponse) -> Any:
    text = request.text.to_dict(mode="json") if request.text else {}
    wanted: dict[str, Any] = text.get("format") or {"type": "text"}  # type: ignore[assignment]
    if wanted["type"] == "json_schema":
        wanted = {**wanted, "description": wanted.get("description"), "strict": bool(wanted.get("strict"))}
    return {**text, "format": wanted}


def _tool_choice(request: CreateResponse) -> Any:
    choice = request.tool_choice or "auto"
    return choice if isinstance(choice, str) else choice.to_dict(mode="json")


def json_response(response: ResponseObject, root_path: str, body: Any = None) -> JSONResponse:
    """The response as an answer: 202 and where to look again, if it may go on elsewhere.

    root_path: what the client writes before our paths.
    """
    content = response if body is None else body
    if response["status"] in FINAL:
        return JSONResponse(content)
    return JSONResponse(content, 202, {"location": f"{root_path}/v1/responses/{response['id']}", "retry-after": "2"})
