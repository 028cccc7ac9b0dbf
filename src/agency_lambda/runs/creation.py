"""Makes a new run of a request: checks it, and finds its place in the history. Nothing is stored yet."""

import time
from collections.abc import Awaitable, Callable, Sequence

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.history.conversations import Conversation, Conversations, conversation_busy
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol import response_object
from agency_lambda.protocol.approval_answers import without_answers
from agency_lambda.protocol.bounds import FileReference, InputBudget
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.items import parse_items
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.item_references import resolve_references
from agency_lambda.runs.model import Lease, Run, StoredRequest, StoredResponse
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import Store

type CheckFiles = Callable[[str, Sequence[FileReference]], Awaitable[None]]
"""Refuses files of a request: see `RunService.check_files`."""


def refuse_contradictions(request: CreateResponse, *, has_key: bool, has_queue: bool) -> None:
    """Raise InvalidRequest if parameters exclude each other, UnsupportedParameter if they need a queue."""
    if has_key and not request.stored:
        raise InvalidRequest("An Idempotency-Key needs a response that is stored: 'store' is false.", param="store")
    if request.background and not request.stored:
        raise InvalidRequest("In the background a response has to be stored: 'store' is false.", param="store")
    if request.background and not has_queue:
        raise UnsupportedParameter("'background' needs a queue: QUEUE is not set.", param="background")


async def new_run(
    store: Store, request: CreateResponse, owner: str, conversation_name: str | None, check_files: CheckFiles
) -> Run:
    """Return a run that is not stored yet. Raises InvalidRequest, NotFound, ConversationBusy.

    conversation_name: the caller's own name; such a conversation is created if needed.
    """
    responses = Responses(store, owner)
    budget = InputBudget()
    items = parse_items(await resolve_references(responses, without_answers(request.input)), budget=budget)
    await check_files(owner, budget.files)
    conversation, before = None, None
    if conversation_name or request.conversation_id:
        conversation = await _conversation(Conversations(store, owner), request, conversation_name)
    elif request.previous_response_id:
        before = await cursor_after(responses, request.previous_response_id)
    response_id = new_id("resp")  # late, as lists are in the order of ids
    if conversation:
        cursor = conversation.end
    elif before:
        cursor = responses.append_cursor(before, response_id)
    else:
        cursor = HistoryCursor().branch(responses.log(response_id))
    conversation_id = conversation.id if conversation else None
    response = response_object.new_response(request, response_id, conversation_id)
    body = request.model_dump(mode="json", exclude_unset=True, by_alias=True)
    stored_request = StoredRequest(body, items, cursor.as_json, conversation_id)
    lease = Lease(response_id, owner, holder="", until=0.0, attempts=0, queued_at=time.time())
    return Run(owner, StoredResponse(response, stored_request), cursor, lease, conversation)


async def _conversation(
    conversations: Conversations, request: CreateResponse, conversation_name: str | None
) -> Conversation:
    conversation_id = conversation_name or request.conversation_id or ""
    conversation = await conversations.load_to_extend(conversation_id, create=conversation_name is not None)
    if conversation.active_run_id is not None and (request.cancel_waiting or not request.background):
        raise conversation_busy(conversation.active_run_id)
    return conversation


async def cursor_after(responses: Responses, response_id: str) -> HistoryCursor:
    """Return the history that ends with a response. Raises NotFound, or InvalidRequest if it cannot be continued."""
    stored = await responses.get(response_id, "previous_response_id")
    if stored.sending:
        root = stored.sending.shown_in
        message = f"Response {response_id!r} answers an agent's message, and cannot be continued: continue {root!r}."
        raise InvalidRequest(message, param="previous_response_id")
    if stored.cursor is None:
        message = f"Response {response_id!r} cannot be continued: it is {stored.response['status']}."
        raise InvalidRequest(message, param="previous_response_id")
    return stored.cursor
