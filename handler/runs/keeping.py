"""Where a stored run is kept: its own record, its events, and the log or the conversation that it adds a turn to."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from handler.protocol.output import Event, Item
from handler.protocol.resource import Resource
from handler.records import Conversation, Conversations, Place, Responses, Turn, busy
from handler.store import Change, Conflict, Store

_ATTEMPTS = 5  # at the last write, against others who write to the same records


class Keeping:
    """One stored run, from its first write to its last; in between it keeps its events and its conversation.

    place: where its turn will stand. conversation: the one that it adds to, if it does.
    """

    def __init__(
        self,
        store: Store,
        owner: str,
        response: Resource,
        given: list[Item],
        place: Place,
        conversation: Conversation | None,
        streamed: bool,
    ) -> None:
        self._store, self._given, self._streamed = store, given, streamed
        self._responses, self._conversations = Responses(store, owner), Conversations(store, owner)
        self._id, self._place, self._conversation = response["id"], place, conversation
        self._begun = self._responses.put(response, given, None, streamed)
        self._writing = asyncio.Lock()  # what is kept while the agents work is never kept over the end

    def begin(self) -> list[Change]:
        """The changes of the first write: the run is there, and has its conversation."""
        if self._conversation is None:
            return [self._begun]
        held = self._conversation.held(self._id)
        self._conversation = replace(self._conversation, run=self._id, version=held.version)
        return [self._begun, held]

    async def events(self, events: Sequence[Event]) -> None:
        """Keep some more of its events."""
        async with self._writing:
            await self._store.write(self._responses.put_events(self._id, events))

    async def renew(self) -> None:
        """Say that it is still at it.

        Raises:
            ConversationBusy: the conversation is another's by now.
        """
        if self._conversation:
            async with self._writing:
                self._conversation = await self._conversations.renew(self._conversation)

    async def end(self, response: Resource, history: list[Item] | None, events: Sequence[Event]) -> None:
        """The last write, all of it or nothing. history: what the agents remember; None: the run adds no turn.

        Raises:
            ConversationBusy: it has lost its conversation.
            NotFound: it was deleted meanwhile.
        """
        turn = None if history is None else Turn([*self._given, *response["output"]], history)
        async with self._writing:
            for _ in range(_ATTEMPTS):
                try:
                    return await self._store.write(*self._last(response, turn, events))
                except Conflict:
                    await self._make_way()
        raise busy()

    def _last(self, response: Resource, turn: Turn | None, events: Sequence[Event]) -> list[Change]:
        place = self._place.next if turn else None
        changes: list[Change] = [self._responses.put(response, self._given, place, self._streamed, self._begun.version)]
        if self._conversation:
            changes += self._conversation.appended(turn) if turn else [self._conversation.released()]
        elif turn:
            changes.append(turn.put(self._place, self._begun.expires))
        return [*changes, self._responses.put_events(self._id, events)] if events else changes

    async def _make_way(self) -> None:
        """Somebody else has written meanwhile: is there still a place for this run?"""
        kept = await self._responses.get(self._id)
        self._begun = replace(self._begun, version=kept.version)
        if self._conversation:
            self._conversation = await self._conversations.renew(self._conversation)
        else:
            self._place = self._place.branch(self._responses.log(self._id))
