"""/v1/responses: Open Responses."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from handler.auth import Owner
from handler.error_answers import V1_RESPONSES
from handler.errors import InvalidRequest
from handler.protocol.request import CompactRequest, CreateResponse
from handler.protocol.resource import FINAL, answered
from handler.protocol.stream import EventStream, resumable
from handler.records import Kept, Responses
from handler.routes.pages import Page, page
from handler.routes.service import IdempotencyKey, RootPath, Service, once

router = APIRouter(prefix="/v1/responses", responses=V1_RESPONSES)


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The response, or its events", "content": {"application/json": {}, "text/event-stream": {}}}
}


@router.post("", response_model=None, responses=_STREAM)
async def create(
    body: CreateResponse, owner: Owner, runs: Service, root: RootPath, key: IdempotencyKey = None
) -> Response:
    """Run an agency. `model` is its name, or "agency/Agent"; with `stream` the answer is server-sent events."""
    begun = await runs.begin(body, owner, once(key, body))
    if isinstance(begun, Kept):
        if body.stream:
            kept = Responses(runs.store, owner).events(begun.response["id"])
            return EventStream(resumable(kept, begun.response, root), _nothing)
        return answered(await runs.settled(owner, begun), root)
    if body.stream:
        return EventStream(resumable(begun.follow(runs.execute(begun)), begun.response, root), begun.leave)
    return answered(await runs.execute(begun), root)


@router.post("/compact", response_model=None)
async def compact(body: CompactRequest, owner: Owner, runs: Service) -> dict[str, Any]:
    """The older turns summarised by the model, the last ones word for word, as one item that can be sent back."""
    return await runs.compact(body, owner)


@router.get("/{response_id}", response_model=None, responses=_STREAM)
async def retrieve(
    response_id: str,
    owner: Owner,
    runs: Service,
    root: RootPath,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=-1)] = None,
) -> Response | dict[str, Any]:
    """A stored response; with `stream` its events behind number `starting_after`."""
    responses = Responses(runs.store, owner)
    kept = await responses.get(response_id)
    if stream:
        if not kept.streamed:
            raise InvalidRequest("This response was not streamed, so it has no events.", param="stream")
        after = -1 if starting_after is None else starting_after
        return EventStream(resumable(responses.events(response_id, after), kept.response, root, after), _nothing)
    return kept.response


@router.delete("/{response_id}", response_model=None)
async def delete(response_id: str, owner: Owner, runs: Service) -> dict[str, Any]:
    """Forget a response and its events, and end its run; what it added to a conversation stays there."""
    responses = Responses(runs.store, owner)
    if (await responses.get(response_id)).response["status"] not in FINAL:
        await runs.cancel(owner, response_id)
    await responses.delete(response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.get("/{response_id}/input_items", response_model=None)
async def input_items(response_id: str, owner: Owner, runs: Service, wanted: Page) -> dict[str, Any]:
    """What was sent to it."""
    kept = await Responses(runs.store, owner).get(response_id)
    return page(kept.asked.input, wanted)


@router.post("/{response_id}/cancel", response_model=None)
async def cancel(response_id: str, owner: Owner, runs: Service) -> dict[str, Any]:
    """End a run, wherever it runs; what it has said so far is kept."""
    return await runs.cancel(owner, response_id)


async def _nothing() -> None:
    """Whoever only looks on leaves nothing behind."""
