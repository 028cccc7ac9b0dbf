from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import WithJsonSchema

from agency_lambda.errors import InvalidRequest, ServiceError, UnsupportedParameter
from agency_lambda.protocol.lazy_types import LazyType
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.stream import EventStreamResponse
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.routes.dependencies import Caller
from agency_lambda.routes.strict import StrictRoute

if TYPE_CHECKING:
    from agency_lambda.protocol.ag_ui.request import RunInput
    from agency_lambda.protocol.types import Event
else:
    RunInput = Annotated[
        Any,
        LazyType("agency_lambda.protocol.ag_ui.request", "RunInput"),
        WithJsonSchema({}),  # the document has one of its own
    ]

router = APIRouter(prefix="/ag-ui", route_class=StrictRoute)


@router.post("/{agency}", response_model=None, status_code=200, response_class=EventStreamResponse)
async def run_agency(agency: str, body: Annotated[RunInput, Body()], caller: Caller) -> Response:
    """Run an agency for a client of AG-UI, which follows its events."""
    return await _run(agency, body, caller)


@router.post("/{agency}/{agent}", response_model=None, status_code=200, response_class=EventStreamResponse)
async def run_agent(agency: str, agent: str, body: Annotated[RunInput, Body()], caller: Caller) -> Response:
    """Run one agent of an agency."""
    return await _run(f"{agency}/{agent}", body, caller)


async def _run(model: str, body: "RunInput", caller: Caller) -> Response:
    # The first request imports the protocol.
    from agency_lambda.protocol.ag_ui.events import RunEvents
    from agency_lambda.routes.ag_ui.stream import RunStream
    from agency_lambda.routes.ag_ui.thread import Thread

    def unfinished(response: ResponseObject) -> Response:
        events = RunEvents(body, response["id"])
        url = f"{caller.root_path}/v1/responses/{response['id']}?stream=true"
        content = b"".join(map(_encoded, [*events.start(), events.break_off(url)]))
        return Response(content, media_type="text/event-stream")

    try:
        run = await Thread(body, model, caller, unfinished).begin()
    except (InvalidRequest, UnsupportedParameter) as error:
        raise _naming_its_field(error) from None
    stream = RunStream(run, body, caller)
    return EventStreamResponse(_all_encoded(stream.events()), stream.leave)


def _naming_its_field(error: ServiceError) -> ServiceError:
    # Errors of AG-UI have no field of their own for it.
    named = str(error) if error.param is None or error.param in str(error) else f"{error.param}: {error}"
    if error.param == "input":
        named = named.replace("input", "messages", 1)
    return type(error)(named, param=error.param, code=error.code)


async def _all_encoded(events: "AsyncIterator[Event]") -> AsyncIterator[bytes]:
    async for event in events:
        yield _encoded(event)


def _encoded(event: "Event") -> bytes:
    return b"data: %b\n\n" % to_json_bytes(event)
