"""Chat Completions: a run as OpenAI's older protocol has it."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from agency_lambda.errors import ServiceError
from agency_lambda.exception_handlers import error_response, v1_error
from agency_lambda.protocol.lazy_types import LazyType
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.stream import DONE, EventStreamResponse, encode_data
from agency_lambda.routes.dependencies import Caller, IdempotencyKey, idempotent_request
from agency_lambda.routes.strict import StrictRoute

if TYPE_CHECKING:
    from agency_lambda.protocol.chat.chunks import ChunkBuilder
    from agency_lambda.protocol.chat.request import CreateChatCompletion
    from agency_lambda.protocol.types import Event
    from agency_lambda.runs.client_run import ClientRun
else:
    CreateChatCompletion = Annotated[Any, LazyType("agency_lambda.protocol.chat.request", "CreateChatCompletion")]

router = APIRouter(prefix="/v1/chat/completions", route_class=StrictRoute)


@router.post("", response_model=None)
async def create(
    body: Annotated[CreateChatCompletion, Body()], request: Request, caller: Caller, key: IdempotencyKey = None
) -> Response:
    """Run an agency. `model` is its name, or "agency/Agent"; `stream` asks for server-sent events."""
    from agency_lambda.protocol.chat.chunks import ChunkBuilder
    from agency_lambda.protocol.chat.completion import completion, has_answer, why_unanswered

    def unanswered(response: ResponseObject, goes_on_as: str | None = None) -> Response:
        error = why_unanswered(response, goes_on_as)
        location = f"{caller.root_path}/v1/responses/{goes_on_as or response['id']}"
        return error_response(request.scope, error, {"location": location})

    run = await _begun(body, caller, key, unanswered)
    if body.stream:
        return EventStreamResponse(
            _encoded(ChunkBuilder(body, run.response, caller.file_links), run, caller), run.leave
        )
    responses = await _responses(run)
    if has_answer(responses[-1]):
        return JSONResponse(completion(body, responses, caller.file_links))
    return unanswered(responses[-1], await _goes_on_as(caller, responses[-1]))


async def _begun(
    body: "CreateChatCompletion", caller: Caller, key: str | None, render: Callable[[ResponseObject], Response]
) -> "ClientRun":
    """Begin the run. Errors name the fields that the client has sent."""
    from agency_lambda.protocol.chat.parameters import ResponseParameters

    parameters = ResponseParameters(body)
    try:
        with parameters.names.applied():
            request = CreateResponse.model_validate(parameters.body)
            return await caller.begin(request, idempotent_request(key, router.prefix, body), render)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *parameters.client_path(each["loc"]))} for each in error.errors()]
        raise RequestValidationError(found, body=body.model_dump()) from None


async def _responses(run: "ClientRun | None") -> list[ResponseObject]:
    """Return the response of a run, and those that continue it."""
    from agency_lambda.protocol.chat.completion import is_over

    responses: dict[str, ResponseObject] = {}
    while run is not None:
        response = await run.answer()
        responses[response["id"]] = response
        run = None if is_over(response) else await run.continued()
    return [*responses.values()]


def _encoded(builder: "ChunkBuilder", run: "ClientRun", caller: Caller) -> AsyncIterator[bytes]:
    events = run.events(caller.root_path)  # from here on the run is executed, whoever reads them
    return _encode(builder, _with_continued(events, builder, run, caller.root_path), caller)


async def _with_continued(
    events: "AsyncIterator[Event]", builder: "ChunkBuilder", run: "ClientRun", root_path: str
) -> "AsyncIterator[Event]":
    """Yield the events of a run, and of those that continue it."""
    from agency_lambda.protocol.chat.completion import is_over

    last, following = -1, run
    while True:
        async for event in events:
            last = event["sequence_number"]
            yield event
        if is_over(builder.response) or (next_run := await following.continued(last)) is None:
            return
        builder.asked, following = [], next_run
        events = following.events(root_path)


async def _encode(builder: "ChunkBuilder", events: "AsyncIterator[Event]", caller: Caller) -> AsyncIterator[bytes]:
    from agency_lambda.protocol.chat.completion import has_answer

    yield encode_data(builder.begin())
    async for event in events:
        for chunk in builder.chunks(event):
            yield encode_data(chunk)
    if has_answer(builder.response):
        for chunk in builder.end():
            yield encode_data(chunk)
        yield DONE
    else:
        yield encode_data({"error": v1_error(await _error(builder, caller))})


async def _error(builder: "ChunkBuilder", caller: Caller) -> ServiceError:
    from agency_lambda.protocol.chat.completion import why_unanswered
    from agency_lambda.runs.outcome import error_from_field

    response = builder.response
    if response["error"]:
        return error_from_field(response["error"])
    return why_unanswered(response, await _goes_on_as(caller, response))


async def _goes_on_as(caller: Caller, response: ResponseObject) -> str | None:
    """Return the id of the response in which a run goes on that has ended by asking persons."""
    if response["status"] != "completed":
        return None
    try:
        return str((await caller.responses.last(response["id"])).response["id"])
    except ServiceError:
        return None
