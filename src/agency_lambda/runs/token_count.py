"""POST /v1/responses/input_tokens: how long the input of a response would be."""

import asyncio
from typing import TYPE_CHECKING, Any

from agency_lambda import catalogue
from agency_lambda.files.inputs import check_inputs
from agency_lambda.files.run_files import RunFiles
from agency_lambda.framework.token_estimate import tokens_before_items, tokens_of_items
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.loading import TurnCache, load_history
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.bounds import InputBudget
from agency_lambda.protocol.items import parse_items, to_agent_input
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.token_count import CountInputTokens
from agency_lambda.runs.creation import cursor_after
from agency_lambda.runs.item_references import resolve_references
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import Store

if TYPE_CHECKING:
    from agency_lambda.files.service import Files
    from agency_lambda.framework.models import Models


async def count_input_tokens(
    models: "Models", store: Store, turns: TurnCache, files: "Files | None", body: CountInputTokens, owner: str
) -> dict[str, Any]:
    """Estimate the tokens of a request with what it continues; no model is asked, and nothing is stored."""
    request, responses = body.as_request(), Responses(store, owner)
    budget = InputBudget()
    items = parse_items(await resolve_references(responses, body.input), budget=budget) if body.input else []
    if budget.files:
        await check_inputs(files, owner, budget.files)
    cursor = await _cursor(responses, Conversations(store, owner), request)
    history = await load_history(store, cursor, turns) if cursor else []
    await models.refresh()
    found, chat = catalogue.find_entry(request.model), models.settings.model_api == "chat"
    tokens = tokens_before_items(*found, request, chat=chat)
    sent = [*history, *to_agent_input(items)]
    if budget.files or history:
        sent = await RunFiles(files, owner).expanded(sent)
    tokens += await asyncio.to_thread(tokens_of_items, sent)  # which may be megabytes
    return {"object": "response.input_tokens", "input_tokens": tokens}


async def _cursor(responses: Responses, conversations: Conversations, request: CreateResponse) -> HistoryCursor | None:
    if request.conversation_id:
        return (await conversations.get(request.conversation_id, "conversation")).end
    return await cursor_after(responses, request.previous_response_id) if request.previous_response_id else None
