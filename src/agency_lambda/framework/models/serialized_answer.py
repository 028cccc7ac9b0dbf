"""A model's answer as JSON for the journal, and back."""

from dataclasses import replace
from typing import Any

from agents import ModelResponse
from openai.types.responses import Response
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails
from pydantic import BaseModel, TypeAdapter, ValidationError

from agency_lambda.framework.models.calls import ModelAnswer
from agency_lambda.framework.models.endings import Reason
from agency_lambda.framework.models.events import required_counts

_RESPONSE = TypeAdapter(ModelResponse)


def dump_answer(answer: ModelAnswer) -> dict[str, Any]:
    """Return an answer as JSON. Unset fields, left out, would change the replayed history's digest."""
    response = _RESPONSE.dump_python(answer.response, mode="json", exclude_unset=True, warnings=False)
    if response.get("request_id", "") is None:  # defaults of the SDK, which need no place in every row
        del response["request_id"]
    if isinstance(usage := response.get("usage"), dict) and not usage.get("request_usage_entries", True):
        del usage["request_usage_entries"]
    body: dict[str, Any] = {"response": response, "model": answer.model}
    return body | {"incomplete": answer.incomplete} if answer.incomplete else body


def load_answer(body: dict[str, Any]) -> ModelAnswer:
    """Read the JSON of this or an earlier version, which wrote `complete`."""
    was_cut = body.get("complete") is False
    incomplete: Reason | None = "max_output_tokens" if was_cut else body.get("incomplete")
    return ModelAnswer(_response(body["response"]), incomplete, body.get("model", ""))


def _response(body: dict[str, Any]) -> ModelResponse:
    # As lenient as `openai`: servers leave fields out.
    body = {**body, "usage": _with_all_counts(body.get("usage"))}
    try:
        return _RESPONSE.validate_python(body)
    except ValidationError:
        lenient = Response.construct(output=body["output"])
        return replace(_RESPONSE.validate_python({**body, "output": []}), output=lenient.output)


def _with_all_counts(usage: Any) -> Any:
    # Counts that this version of openai requires, and an earlier one or a server did not know.
    if not isinstance(usage, dict):
        return usage
    details: dict[str, type[BaseModel]] = {
        "input_tokens_details": InputTokensDetails,
        "output_tokens_details": OutputTokensDetails,
    }
    return usage | {
        name: required_counts(kind) | usage[name] for name, kind in details.items() if isinstance(usage.get(name), dict)
    }
