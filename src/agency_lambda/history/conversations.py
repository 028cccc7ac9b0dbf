"""Conversations: each is a log of turns, and a record that locks it."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

from agency_lambda.errors import ConversationBusy, NotFound
from agency_lambda.history.turns import (
    HistoryCursor,
    Span,
    Turn,
    check_history,
    delete_partition,
    is_valid_id,
    load_turns,
)
from agency_lambda.protocol.ids import created_microseconds, new_id
from agency_lambda.protocol.types import Item
from agency_lambda.store import ABSENT, Conflict, Delete, Put, Store

_BUSY = "Another run is adding to this conversation. Try again when it is done."
_WAITS = (
    "A run in this conversation waits for a person: answer its approval (GET /v1/approvals), or cancel it by "
    "sending 'cancel_waiting': true."
)
_HEAD = "head"  # sort key of the record of a conversation; it sorts behind every turn, whose key is a number
_STORED_NAMES = {name: name for name in ("created_at", "metadata", "turns", "items", "size", "parts", "listed")}
_STORED_NAMES |= {"active_run_id": "run", "waiting_run_ids": "waiting"}


@dataclass(frozen=True)
class Conversation:
    """The record of a conversation. One run at a time holds its lock."""

    id: str
    log: str
    created_at: int
    metadata: dict[str, str]
    turns: int  # that were added, as `items` and `parts`
    items: int = 0
    size: int = 0  # bytes
    parts: int = 0
    active_run_id: str | None = None
    waiting_run_ids: list[str] = field(default_factory=list)  # they get the lock in this order
    listed: bool = False  # it is in its owner's index
    version: str = ABSENT

    @property
    def end(self) -> HistoryCursor:
        return HistoryCursor((Span(self.log, self.turns),))

    @property
    def resource(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "conversation",
            "created_at": self.created_at,
            "metadata": self.metadata,
        }

    def list_if_new(self) -> tuple["Conversation", list[Put]]:
        """Return the conversation to write, and its entry in the index, if new."""
        return (self, []) if self.listed else (replace(self, listed=True), [self.put_entry()])

    def put_entry(self) -> Put:
        return Put(conversation_index(self._owner), self.entry_key, self.resource)

    def delete_entry(self) -> Delete:
        return Delete(conversation_index(self._owner), self.entry_key)

    @property
    def entry_key(self) -> str:
        return _entry_key(self.id, created_microseconds(self.id) or 10**6 * self.created_at)

    @property
    def _owner(self) -> str:
        return self.log.partition("/")[0]

    def acquire(self, run_id: str) -> Put:
        """Return the change that gives a run the lock, or queues it."""
        if self.active_run_id is None:
            return self._put(active_run_id=run_id)
        return self._put(waiting_run_ids=[*self.waiting_run_ids, run_id])

    def release(self, run_id: str) -> Put:
        """Return the change that passes the lock on, or removes a waiting run."""
        if self.active_run_id == run_id:
            return self._put(**self._next())
        return self._put(waiting_run_ids=[each for each in self.waiting_run_ids if each != run_id])

    def append_turn(self, turn: Turn, next_run_id: str | None = None) -> tuple[Put, Put]:
        """Return the changes that append a turn and pass the lock on. The last is the record's.

        next_run_id: the run that gets the lock; None for the first one that waits.
        """
        items, size = self.items + len(turn.items), self.size + turn.size
        lock = {"active_run_id": next_run_id} if next_run_id else self._next()
        put = self._put(turns=self.turns + 1, items=items, size=size, parts=self.parts + turn.parts, **lock)
        return turn.put(self.end, None), put

    def with_rewritten(self, *, turns: int, items: int, size: int, parts: int) -> Put:
        """Return the change of the record. turns: all; others: by how many there are more."""
        return self._put(turns=turns, items=self.items + items, size=self.size + size, parts=self.parts + parts)

    def set_metadata(self, metadata: dict[str, str]) -> Put:
        return self._put(metadata=metadata)

    def written(self, put: Put) -> "Conversation":
        return replace(self, **_from_body(put.body), version=put.version)

    def _next(self) -> dict[str, Any]:
        first = self.waiting_run_ids[0] if self.waiting_run_ids else None
        return {"active_run_id": first, "waiting_run_ids": self.waiting_run_ids[1:]}

    def _put(self, **changed: Any) -> Put:
        after = replace(self, **changed)
        body = {stored: getattr(after, name) for name, stored in _STORED_NAMES.items()}
        return Put(self.log, _HEAD, body, expected=self.version)


class Conversations:
    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner

    async def create(self, metadata: dict[str, str], items: list[Item], history: list[Item]) -> Conversation:
        conversation, entry = self._new(new_id("conv"), metadata).list_if_new()
        changes = conversation.append_turn(Turn(items, history)) if items else (conversation.set_metadata(metadata),)
        await self._store.write(*entry, *changes)
        return conversation

    async def get(self, conversation_id: str, param: str | None = None) -> Conversation:
        """Raises NotFound."""
        found = await self._find(conversation_id) if is_valid_id(conversation_id) else None
        if found is None:
            raise NotFound(f"Conversation with id {conversation_id[:99]!r} not found.", param=param)
        return found

    async def entry_key(self, conversation_id: str) -> str | None:
        """Return the key of its entry in the index; None if unknown."""
        if created := created_microseconds(conversation_id):
            return _entry_key(conversation_id, created)
        found = await self._find(conversation_id)
        return found.entry_key if found else None

    async def items(self, conversation: Conversation) -> list[Item]:
        return [item for turn in await load_turns(self._store, conversation.end) for item in turn.items]

    async def update(self, conversation_id: str, metadata: dict[str, str]) -> Conversation:
        while True:
            conversation = replace(await self.get(conversation_id), listed=True, metadata=metadata)
            try:
                await self._store.write(conversation.put_entry(), put := conversation.set_metadata(metadata))
            except Conflict:
                continue
            return conversation.written(put)

    async def append(self, conversation_id: str, turn: Turn) -> None:
        """Raises ConversationBusy, InvalidRequest."""
        conversation = await self.load_to_extend(conversation_id)
        if conversation.active_run_id is not None:
            raise conversation_busy(conversation.active_run_id)
        conversation, entry = conversation.list_if_new()
        put_turn, put = conversation.append_turn(turn)
        check_history(put.body["items"], put.body["size"], put.body["parts"])
        try:
            await self._store.write(*entry, put_turn, put)
        except Conflict:
            raise conversation_busy() from None

    async def load_to_extend(self, conversation_id: str, *, create: bool = False) -> Conversation:
        """Raises NotFound."""
        found = await self._find(conversation_id) if create else await self.get(conversation_id, "conversation")
        return found or self._new(conversation_id, {})

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation: its record first, so that nothing is added meanwhile."""
        conversation = await self.get(conversation_id)
        await self._store.write(conversation.delete_entry(), Delete(conversation.log, _HEAD))
        await delete_partition(self._store, conversation.log)

    async def _find(self, conversation_id: str) -> Conversation | None:
        record = await self._store.get(self._log(conversation_id), _HEAD)
        if record is None:
            return None
        return Conversation(id=conversation_id, log=record.partition, version=record.version, **_from_body(record.body))

    def _new(self, conversation_id: str, metadata: dict[str, str]) -> Conversation:
        log = self._log(conversation_id)
        return Conversation(conversation_id, log, int(time.time()), metadata, 0)

    def _log(self, conversation_id: str) -> str:
        return f"{self._owner}/conversation/{conversation_id}"


def conversation_index(owner: str) -> str:
    return f"{owner}/conversations"


def _entry_key(conversation_id: str, created: int) -> str:
    return f"{created:016d}/{conversation_id}"


def _from_body(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[stored] for name, stored in _STORED_NAMES.items() if stored in body}


def conversation_busy(run_id: str | None = None, *, waits: bool = False) -> ConversationBusy:
    """waits: the run that holds the lock waits for a person."""
    error = ConversationBusy(_WAITS if waits else _BUSY)
    error.run_id = run_id
    return error
