from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from agency_lambda.errors import InvalidRequest, NotFound, OutcomeUnknown, StoreUnavailable
from agency_lambda.history.conversations import conversation_index
from agency_lambda.history.turns import Turn
from agency_lambda.protocol import bounds
from agency_lambda.protocol.bounds import InputBudget
from agency_lambda.protocol.items import parse_items, to_agent_input
from agency_lambda.protocol.lazy_types import DocumentedAs
from agency_lambda.protocol.request import Body, Metadata
from agency_lambda.protocol.types import Item
from agency_lambda.record.index_pages import list_of, read_page
from agency_lambda.routes.dependencies import Caller
from agency_lambda.routes.paging import TAKES_INCLUDE, CursorPage, Page, paginate
from agency_lambda.routes.strict import StrictRoute

router = APIRouter(prefix="/v1/conversations", route_class=StrictRoute)

_TYPES = "agency_lambda.openapi.inputs"


class NewItems(Body):
    items: Annotated[list[Any], DocumentedAs(_TYPES, "AddedItems")] = Field(min_length=1, max_length=20)


class NewConversation(Body):
    items: Annotated[list[Any], DocumentedAs(_TYPES, "FirstItems")] | None = Field(default=None, max_length=20)
    metadata: Metadata | None = None


class Description(Body):
    metadata: Metadata


@router.post("")
async def create(caller: Caller, body: NewConversation | None = None) -> dict[str, Any]:
    """Create a conversation, with the given items in it."""
    body = body or NewConversation()
    items = await _parsed(caller, body.items or [])
    conversation = await caller.conversations.create(body.metadata or {}, items, _history(items))
    return conversation.resource


@router.get("")
async def list_all(caller: Caller, requested: CursorPage) -> dict[str, Any]:
    """List the conversations, newest first."""
    given = filter(None, (requested.after, requested.before))
    keys = {each: await caller.conversations.entry_key(each) for each in given}
    index, query = conversation_index(caller.owner), requested.query(keys.get)
    return await read_page(caller.runs.store, index, query, lambda entry: entry.body)


@router.get("/{conversation_id}")
async def retrieve(conversation_id: str, caller: Caller) -> dict[str, Any]:
    """Return the metadata; `/items` lists the items."""
    return (await caller.conversations.get(conversation_id)).resource


@router.post("/{conversation_id}")
async def update(conversation_id: str, body: Description, caller: Caller) -> dict[str, Any]:
    """Replace the metadata."""
    return (await caller.conversations.update(conversation_id, body.metadata)).resource


@router.delete("/{conversation_id}")
async def delete(conversation_id: str, caller: Caller) -> dict[str, Any]:
    """Delete a conversation and its items."""
    await caller.runs.delete_conversation(caller.owner, conversation_id)
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


@router.get("/{conversation_id}/items", dependencies=[TAKES_INCLUDE])
async def items(conversation_id: str, caller: Caller, requested: Page) -> dict[str, Any]:
    """List the items."""
    conversations = caller.conversations
    return paginate(await conversations.items(await conversations.get(conversation_id)), requested)


@router.post("/{conversation_id}/items", dependencies=[TAKES_INCLUDE])
async def add(conversation_id: str, body: NewItems, caller: Caller) -> dict[str, Any]:
    """Append items to the conversation."""
    added = await _parsed(caller, body.items)
    if (answered := bounds.size(added)) > bounds.ANSWER - 1_000:
        message = (
            f"The items take {answered:,} bytes in the answer, which has {bounds.ANSWER:,} at most: send fewer at once."
        )
        raise InvalidRequest(message, param="items")
    try:
        await caller.conversations.append(conversation_id, Turn(added, _history(added)))
    except StoreUnavailable as error:  # if it was written after all, a repeated request would add them twice
        raise OutcomeUnknown(str(error)) from error
    return list_of(added, has_more=False)


@router.get("/{conversation_id}/items/{item_id}", dependencies=[TAKES_INCLUDE])
async def item(conversation_id: str, item_id: str, caller: Caller) -> dict[str, Any]:
    """Return one item."""
    conversations = caller.conversations
    for each in await conversations.items(await conversations.get(conversation_id)):
        if each["id"] == item_id:
            return each
    raise NotFound(f"Item with id {item_id[:99]!r} not found.")


@router.delete("/{conversation_id}/items/{item_id}")
async def delete_item(conversation_id: str, item_id: str, caller: Caller) -> dict[str, Any]:
    """Delete one item, also for the agents, and return the conversation."""
    return (await caller.runs.preparation.delete_item(caller.owner, conversation_id, item_id)).resource


async def _parsed(caller: Caller, given: list[Any]) -> list[Item]:
    budget = InputBudget()
    items = parse_items(given, "items", budget)
    caller.runs.preparation.refuse_links(budget.links)
    await caller.runs.check_files(caller.owner, budget.files)
    return items


def _history(items: list[Item]) -> list[Item]:
    return [{**item, "callerAgent": None} for item in to_agent_input(items)]
