from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import WithJsonSchema

from agency_lambda.protocol.lazy_types import LazyType
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.stream import EventStreamResponse, encode_data
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
        content = b"".join(map(encode_data, [*events.start(), events.break_off(url)]))
        return Response(content, media_type="text/event-stream")

    run = await Thread(body, model, caller, unfinished).begin()
    stream = RunStream(run, body, caller)
    return EventStreamResponse(_encoded(stream.events()), stream.leave)


async def _encoded(events: "AsyncIterator[Event]") -> AsyncIterator[bytes]:
    async for event in events:
        yield encode_data(event)
