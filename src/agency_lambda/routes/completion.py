"""`POST /completion`: a question and its whole answer, for clients without a protocol."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agency_lambda import catalogue
from agency_lambda.errors import IdempotencyKeyReused
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.items import text_of
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import FINAL, ResponseObject, json_response, open_requests
from agency_lambda.protocol.types import Item, Name, Text, ThreadId
from agency_lambda.routes.dependencies import Caller, IdempotencyKey, idempotent_request
from agency_lambda.routes.strict import StrictRoute
from agency_lambda.runs.outcome import raise_failed
from agency_lambda.runs.waiting import request_item

router = APIRouter(route_class=StrictRoute)


class Completion(BaseModel):
    """Ask `agency` (by default the first), or one `agent` of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Text = Field(examples=["Which appointments are free next week?"])
    agency: Name | None = None
    agent: Name | None = None
    thread_id: ThreadId | None = Field(None, description="continues (or starts) a conversation under this name")

    @model_validator(mode="before")
    @classmethod
    def _has_few_keys(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(given) > bounds.KEYS:  # each would be an error of its own
            raise ValueError(f"there are more than {bounds.KEYS} parameters")
        return given


class Usage(BaseModel):
    """Count the model calls of all agents."""

    model_calls: int
    input_tokens: int
    output_tokens: int
    total_tokens: int


class CompletionAnswer(BaseModel):
    """Answer of `agent`; send `thread_id` again to continue the conversation."""

    response: str
    run_id: str
    thread_id: str
    agency: str
    agent: str
    usage: Usage


@router.post("/completion", response_model=CompletionAnswer)
async def completion(body: Completion, caller: Caller, key: IdempotencyKey = None) -> Any:
    """Run an agency and answer when it is done."""
    name, _ = catalogue.find(body.agency)
    model = name if body.agent is None else f"{name}/{body.agent}"
    conversation_name = f"{name}/{body.thread_id or new_id('thread')}"
    request = CreateResponse(model=model, input=body.message)

    def unfinished(response: ResponseObject, approvals: Sequence[Item] = ()) -> Response:
        payload = {
            "run_id": response["id"],
            "thread_id": _thread_id(response, name) or conversation_name.removeprefix(f"{name}/"),
            "status": response["status"],
            **({"approvals": approvals} if approvals else {}),
        }
        return json_response(response, caller.root_path, payload)

    idempotent = idempotent_request(key, f"/completion/{name}", body)
    run = await caller.begin(request, idempotent, unfinished, conversation_name)
    response = await run.answer()
    if not open_requests(response):
        return _answer(response, name) if response["status"] in FINAL else unfinished(response)
    rest = await caller.responses.last(response["id"])  # the answer is that of the run that waits for the decision
    if rest.response["status"] in FINAL:
        return _answer(raise_failed(rest.response), name)
    asked = await caller.undecided(rest)
    return unfinished(rest.response, [{"id": each.id, **request_item(each)} for each in asked])


def _thread_id(response: ResponseObject, agency: str) -> str:
    """Return the thread's name, "" if the response is of none."""
    conversation_id: str = (response.get("conversation") or {}).get("id", "")
    return conversation_id.removeprefix(f"{agency}/")


def _answer(response: dict[str, Any], agency: str) -> dict[str, Any]:
    """Raises IdempotencyKeyReused: an earlier version stored the key for a run of another route."""
    thread_id = _thread_id(response, agency)
    if not thread_id:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another request.")
    messages = [item for item in response["output"] if item["type"] == "message"]
    last = messages[-1] if messages else {"content": [], "agent": response["model"].partition("/")[2]}
    return {
        "response": text_of(last["content"]),
        "run_id": response["id"],
        "thread_id": thread_id,
        "agency": agency,
        "agent": last["agent"],
        "usage": response["usage"],
    }
