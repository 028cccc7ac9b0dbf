"""POST /v1/responses/compact: a long conversation as one item."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from agency_lambda import catalogue
from agency_lambda.budgets import Budgets
from agency_lambda.errors import InvalidRequest
from agency_lambda.framework.building import addressed_agent, build
from agency_lambda.framework.models import Meter, Models, ModelUnavailable, ask_once
from agency_lambda.history.turns import load_turns
from agency_lambda.protocol import bounds
from agency_lambda.protocol.bounds import InputBudget
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.items import decode_compaction, encode_compaction, parse_items, text_of
from agency_lambda.protocol.request import CompactRequest
from agency_lambda.protocol.types import Item
from agency_lambda.runs.creation import CheckFiles, cursor_after
from agency_lambda.runs.item_references import resolve_references
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.usage import usage_of_meter
from agency_lambda.store import Store

type Ask = Callable[[str, str, Meter], Awaitable[str]]
"""Asks a model once: (instructions, text, meter) -> its answer."""

_LAST = 2  # user messages that are kept word for word, with everything behind the first of them
_SUMMARY = 20_000  # characters of room for it
_INSTRUCTIONS = (
    "Summarise the conversation below for the assistant who will continue it. Keep names, numbers, decisions, promises "
    "and open questions. Write plain text, no more than 300 words."
)


async def compact(
    models: Models, store: Store, budgets: Budgets, request: CompactRequest, owner: str, check_files: CheckFiles
) -> dict[str, Any]:
    """Compact the input and what it continues, with the addressed agent's model. Raises NotFound, UpstreamFailed."""
    await models.refresh()
    name, entry = catalogue.find_entry(request.model)
    agency = build(entry.factory)
    agent = addressed_agent(agency, name, request.model.partition("/")[2])
    responses, budget = Responses(store, owner), InputBudget()
    items = parse_items(await resolve_references(responses, request.input), budget=budget) if request.input else []
    await check_files(owner, budget.files)
    if request.previous_response_id:
        cursor = await cursor_after(responses, request.previous_response_id)
        items = [*(item for turn in await load_turns(store, cursor) for item in turn.items), *items]
    model = models.for_summaries(agency.agents[agent], entry.model)
    try:
        ask = partial(ask_once, model, spending=await budgets.spending(owner))
        return await compacted(ask, items, request.instructions)
    except ModelUnavailable as error:
        raise error.failure() from error


async def compacted(ask: Ask, items: Sequence[Item], instructions: str | None) -> dict[str, Any]:
    """Return a `response.compaction`: a summary, and the last items unchanged.

    Raises:
        InvalidRequest: there is nothing to compact.
    """
    if not items:
        raise InvalidRequest("There is nothing to compact: send 'input' or 'previous_response_id'.", param="input")
    older, last = await asyncio.to_thread(_split, items)  # which packs, unpacks and joins what may be megabytes
    meter = Meter()
    summary = await ask(_instructions(instructions), older, meter) if older else "Nothing was said before."
    compaction = await asyncio.to_thread(encode_compaction, summary, last)
    return {
        "id": new_id("resp"),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [compaction],
        "usage": usage_of_meter(meter),
    }


def _flat(items: Sequence[Item]) -> list[Item]:
    return [
        each
        for item in items
        for each in (decode_compaction(item, "input") if item["type"] == "compaction" else [item])
    ]


def _split(all_items: Sequence[Item]) -> tuple[str, list[Item]]:
    items = [item for item in _flat(all_items) if item["type"] != "reasoning"]
    users = [number for number, item in enumerate(items) if item.get("role") == "user"]
    starts = [users[-_LAST] if len(users) >= _LAST else 0, *users[-_LAST + 1 :], len(items)]
    start = next(start for start in starts if _can_be_sent(items[start:]))
    return _transcript(items[:start]), items[start:]


def _can_be_sent(last: list[Item]) -> bool:
    try:
        compaction = encode_compaction("x" * _SUMMARY, last)
        parse_items([compaction])
    except InvalidRequest:
        return False
    return bounds.size(compaction) < bounds.BODY - bounds.WITHOUT_OUTPUT


def _instructions(client_instructions: str | None) -> str:
    return "\n\n".join(text for text in (_INSTRUCTIONS, client_instructions) if text)


def _transcript(items: list[Item]) -> str:
    return "\n".join(f"{_speaker(item)}: {_words(item)}" for item in items)


def _speaker(item: Item) -> str:
    return str(item.get("role") or item["type"])


def _words(item: Item) -> str:
    if item["type"] == "function_call":
        return f"{item['name']}({item['arguments']})"
    return " ".join(text_of(item.get("content") or item.get("output")).split())
