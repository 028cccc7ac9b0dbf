"""The response object, with every field of Open Responses."""

import time
from itertools import takewhile
from typing import Any

from starlette.responses import JSONResponse

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.types import Item

ResponseObject = dict[str, Any]
FINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})  # the statuses that do not change any more
_LARGE_FIELDS = (
    *("instructions", "tools", "text", "tool_choice", "metadata", "reasoning", "model"),
    *("previous_response_id", "prompt_cache_key", "safety_identifier", "user"),
)


def new_response(request: CreateResponse, response_id: str, conversation: str | None) -> ResponseObject:
    """Raises InvalidRequest if its fields leave too little room for output."""
    response = {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "queued" if request.background else "in_progress",
        "background": bool(request.background),
        "error": None,
        "incomplete_details": None,
        "output": [],
        **({"conversation": {"id": conversation}} if conversation else {}),
        **_repeated_fields(request),
        "usage": None,
    }
    _check_size(response)
    return response


def _repeated_fields(request: CreateResponse) -> dict[str, Any]:
    reasoning = request.reasoning.to_dict(mode="json") if request.reasoning else {}
    return {
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "model": request.model,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        **_prompt_cache(request),
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
        "user": request.user,
    }


def _prompt_cache(request: CreateResponse) -> dict[str, Any]:
    retention, options = request.prompt_cache_retention, request.prompt_cache_options
    fields: dict[str, Any] = {"prompt_cache_retention": retention} if retention else {}
    if options:
        fields["prompt_cache_options"] = {"mode": options.mode or "implicit", "ttl": options.ttl or "30m"}
    return fields


def _check_size(response: ResponseObject) -> None:
    if bounds.size(response) <= bounds.WITHOUT_OUTPUT:
        return
    sizes = {name: bounds.size(response[name]) for name in _LARGE_FIELDS}
    largest = max(sizes, key=sizes.__getitem__)
    raise InvalidRequest(
        f"{largest} takes {sizes[largest]:,} bytes in the response, which repeats it: all that it repeats may take "
        f"{bounds.WITHOUT_OUTPUT:,} bytes.",
        param=largest,
    )


def fit_output(response: ResponseObject, output: list[Item]) -> list[Item]:
    left, fitting = bounds.RESOURCE - bounds.size({**response, "output": []}), list[Item]()
    for item in output:
        left -= bounds.size(item) + 1
        if left < 0:
            break
        fitting.append(item)
    return fitting


def _text(request: CreateResponse) -> Any:
    text = request.text.to_dict(mode="json") if request.text else {}
    text_format: dict[str, Any] = text.get("format") or {"type": "text"}  # type: ignore[assignment]
    if text_format["type"] == "json_schema":
        description, strict = text_format.get("description"), bool(text_format.get("strict"))
        text_format = {**text_format, "description": description, "strict": strict}
    return {**text, "format": text_format}


def _tool_choice(request: CreateResponse) -> Any:
    choice = request.tool_choice or "auto"
    return choice if isinstance(choice, str) else choice.model_dump(mode="json", exclude_unset=True)


def as_answered(response: ResponseObject) -> ResponseObject:
    """Return a response for a client that does not wait for its end: until then it is one in the background."""
    return response if response["status"] in FINAL else {**response, "background": True}


def end_event(status: str) -> str:
    """Return the type of the event that ends a stream. Clients know none for `cancelled`."""
    return "response.incomplete" if status == "cancelled" else f"response.{status}"


def open_requests(response: ResponseObject) -> list[Item]:
    """Return the approvals that a response has asked for at its end."""
    asked = reversed(list(takewhile(lambda item: item["type"] == "mcp_approval_request", reversed(response["output"]))))
    return list(asked)


def json_response(response: ResponseObject, root_path: str, body: Any = None) -> JSONResponse:
    """Answer 202 with `location` if the response is not final. body: to send in its place."""
    content = as_answered(response) if body is None else body
    if response["status"] in FINAL:
        return JSONResponse(content)
    return JSONResponse(content, 202, {"location": f"{root_path}/v1/responses/{response['id']}", "retry-after": "2"})
