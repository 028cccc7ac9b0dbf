"""Deletes one item of a conversation: for clients, who see it, and for agents, who are given what it stands for."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agency_lambda.errors import NotFound
from agency_lambda.history.conversations import Conversation, Conversations, conversation_busy
from agency_lambda.history.turns import MARK, Turn, load_records
from agency_lambda.protocol.item_builder import is_activity
from agency_lambda.protocol.items import to_agent_input
from agency_lambda.protocol.types import Item
from agency_lambda.store import Conflict, Put, Record, Store

type Key = tuple[Any, ...]

OPTIONAL = "optional"  # of a client's call in the memory whose output was deleted: it may get one, and need not


async def delete_item(store: Store, owner: str, conversation_id: str, item_id: str) -> Conversation:
    """Return the conversation without the item.

    Raises:
        NotFound: there is no such item.
        ConversationBusy: a run works in the conversation, which has read the item.
    """
    conversations = Conversations(store, owner)
    while True:
        conversation = await conversations.get(conversation_id)
        if conversation.active_run_id is not None:
            raise conversation_busy(conversation.active_run_id)
        records = await load_records(store, conversation.end.spans[0])
        turns = [Turn(**record.body) for record in records]
        if (found := find_item(turns, item_id)) is None:
            raise NotFound(f"Item with id {item_id[:99]!r} not found.")
        changed = await asyncio.to_thread(without_item, turns, *found)
        *puts, put = _puts(conversation, records, turns, changed)
        try:
            await store.write(*puts, put)
        except Conflict:
            continue
        return conversation.written(put)


def _puts(
    conversation: Conversation, records: Sequence[Record], turns: Sequence[Turn], changed: Mapping[int, Turn]
) -> list[Put]:
    # An empty turn at the end makes processes read anew what they remember of the log.
    log, last = conversation.log, len(turns) - 1
    puts = [
        replace(turn.put_at(log, number, records[number].expires), expected=records[number].version)
        for number, turn in changed.items()
    ]
    if turns[last].is_mark:
        puts.append(replace(MARK.put_at(log, last, None), expected=records[last].version))
    else:
        puts.append(MARK.put_at(log, last + 1, None))
    size = sum(turn.size - turns[number].size for number, turn in changed.items())
    parts = sum(turn.parts - turns[number].parts for number, turn in changed.items())
    count = last + 1 if turns[last].is_mark else last + 2
    return [*puts, conversation.with_rewritten(turns=count, items=-1, size=size, parts=parts)]


def find_item(turns: Sequence[Turn], item_id: str) -> tuple[int, int] | None:
    """Return the numbers of a turn, and of the item in it."""
    for number, turn in enumerate(turns):
        for place, item in enumerate(turn.items):
            if item["id"] == item_id:
                return number, place
    return None


def without_item(turns: Sequence[Turn], number: int, place: int) -> dict[int, Turn]:
    """Return the turns that change if an item is deleted, by their numbers.

    The agents' memory loses the message, call, output or thought that the item stands for, and all of a turn of which
    only activities are left.
    """
    item = turns[number].items[place]
    changed = {number: replace(turns[number], items=[each for each in turns[number].items if each is not item])}
    for holder in _holders(turns, number):
        first = holder - turns[holder].replaces
        items = [each for turn in turns[first : holder + 1] for each in turn.items]
        history = _without(turns[holder].history, items, next(n for n, each in enumerate(items) if each is item))
        is_empty = all(is_activity(each) for each in items if each is not item)
        changed[holder] = replace(changed.get(holder, turns[holder]), history=[] if is_empty else history)
    if item["type"] == "function_call_output":
        for other, turn in enumerate(turns):
            history = changed.get(other, turn).history
            if any(_is_call(each, item["call_id"]) for each in history):
                marked = [{**each, OPTIONAL: True} if _is_call(each, item["call_id"]) else each for each in history]
                changed[other] = replace(changed.get(other, turn), history=marked)
    return changed


def _holders(turns: Sequence[Turn], number: int) -> Iterator[int]:
    # A turn's memory is in itself, and again in a later one that replaces it.
    for holder in range(number, len(turns)):
        if holder - turns[holder].replaces <= number:
            yield holder


def _without(history: Sequence[Item], items: Sequence[Item], place: int) -> list[Item]:
    left = list(history)
    for key, nth in _keys_with_ordinals(items, place):
        matching = [number for number, item in enumerate(left) if key in _keys_of_memory(item)]
        if nth < len(matching):
            _remove(left, matching[nth], key)
    if items[place].get("recipient"):
        earlier = [each for each in items[:place] if _asks(each) == _asks(items[place])]
        _remove_exchange(left, _asks(items[place]), len(earlier))
    return left


def _keys_with_ordinals(items: Sequence[Item], place: int) -> Iterator[tuple[Key, int]]:
    """Yield what in the memory an item stands for, and how many of the same kind are in front of it."""
    before = [key for item in items[:place] for key in _keys(item)]
    for key in _keys(items[place]):
        yield key, before.count(key)
        before.append(key)


def _keys(item: Item) -> list[Key]:
    kind = item["type"]
    if is_activity(item):
        return [("tool", item.get("agent"), item["tool"])]
    if kind == "reasoning":
        return [("reasoning",)]
    if kind == "image_generation_call":
        return [("tool", item.get("agent"), "image_generation")]
    return [key for form in to_agent_input([item]) for key in _keys_with_user(form)]


def _keys_of_memory(item: Item) -> list[Key]:
    keys: list[Key] = []
    if item.get("type") == "function_call":
        keys.append(("tool", item.get("agent"), item.get("name")))
    if item.get("role") == "assistant" and (words := _text(item)).startswith("["):  # a hosted tool's call as text
        keys.append(("tool", item.get("agent"), words[1:].partition(":")[0]))
    if item.get("callerAgent") is None:
        keys += [("reasoning",)] if item.get("type") == "reasoning" else _keys_with_user(item)
    return keys


def _keys_with_user(item: Item) -> list[Key]:
    kind = item.get("type") or "message"
    if kind in ("function_call", "function_call_output"):
        return [(kind, item["call_id"])]
    content = _content(item)
    return [("message", item.get("role"), *content)] if kind == "message" and content else []


def _content(item: Item) -> list[Key]:
    content = item.get("content")
    parts = [{"text": content}] if isinstance(content, str) else content or ()
    found: list[Key] = []
    for part in parts:
        text = part.get("text") or part.get("refusal") or ""
        others = tuple(part.get(name) for name in ("image_url", "file_data", "file_url", "file_id"))
        if text.strip() or any(others):
            found.append((text, *others))
    return found


def _text(item: Item) -> str:
    return "".join(text for text, *_ in _content(item))


def _remove(history: list[Item], number: int, key: Key) -> None:
    item = history.pop(number)
    if item.get("type") == "function_call":  # nobody is left whose output it would be
        history[:] = [each for each in history if not _is_output(each, item)]


def _remove_exchange(history: list[Item], pair: Key, nth: int) -> None:
    """Remove the nth message of one agent to another, with what the recipient did for it."""
    begun, removed = -1, list[int]()
    for number, item in enumerate(history):
        if (item.get("callerAgent"), item.get("agent")) == pair:
            begun += item.get("role") == "user"
            removed += [number] if begun == nth else []
    history[:] = [item for number, item in enumerate(history) if number not in removed]


def _is_output(item: Item, call: Item) -> bool:
    same = all(item.get(name) == call.get(name) for name in ("call_id", "callerAgent"))
    return same and item.get("type") == "function_call_output"


def _is_call(item: Item, call_id: str) -> bool:
    of_client = item.get("type") == "function_call" and item.get("callerAgent") is None
    return of_client and bool(item.get("call_id") == call_id)


def _asks(item: Item) -> Key:
    return item.get("agent"), item.get("recipient")
