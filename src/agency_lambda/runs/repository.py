"""Where a stored run is kept: its own record, its events, its lease, and the log or conversation that it adds to."""

import asyncio
import time
import uuid
from collections.abc import Sequence, Set
from dataclasses import replace

from agency_lambda.errors import AttemptsExhausted, NotFound, StoreUnavailable, detail_code
from agency_lambda.history.conversations import Conversation, Conversations
from agency_lambda.history.turns import HistoryCursor, Turn
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Event, Item
from agency_lambda.runs.leases import GRACE, TIME, Lease, Leases
from agency_lambda.runs.stored_responses import Responses, StoredRequest, StoredResponse
from agency_lambda.store import Change, Conflict, Store

_ATTEMPTS = 5  # at the last write, against others who write to the same records
_PAUSE = 0.3  # seconds before the last write is repeated that failed, or seems to have failed


class OutcomeUncertain(Exception):
    """How the run ends is not known here, for the store cannot be read or written; another attempt may go on with it.

    Whoever waits is told where to look, and never that the run has failed.
    """


class LeaseLost(OutcomeUncertain):
    """The run is another attempt's by now, or was deleted: this one writes nothing more."""


class RunRepository:
    """One attempt at a stored run, from its first write to its last.

    place: where its turn will stand. conversation: the one that it adds to, if it does. version: of its record.
    asked: the journal's, of model calls that are under way.
    """

    pending: Set[str] = frozenset()
    _noted: Set[str] = frozenset()

    def __init__(
        self,
        store: Store,
        owner: str,
        response_id: str,
        asked: StoredRequest,
        place: HistoryCursor,
        conversation: Conversation | None,
        lease: Lease,
        version: str = "",
    ) -> None:
        self._store, self._id, self._asked = store, response_id, asked
        self.responses, self._conversations = Responses(store, owner), Conversations(store, owner)
        self._leases = Leases(store)
        self._place, self._conversation, self.lease, self._version = place, conversation, lease, version
        self._writing = asyncio.Lock()  # what is kept while the agents work is never kept over the end
        self.next: str | None = None  # the run whose turn it is in the conversation, when this one is over

    def begin(self, response: ResponseObject) -> list[Change]:
        """The changes of the first write: the run is there, and has its conversation, or waits for it."""
        begun, lease = self.responses.put(response, self._asked, None), self.lease.put()
        self._version, self.lease = begun.version, self.lease.written(lease)
        if self._conversation is None:
            return [begun, lease]
        held = self._conversation.claim_turn(self._id)
        changed = {name: held.body[name] for name in ("run", "waiting")}
        self._conversation = replace(self._conversation, version=held.version, **changed)
        return [begun, lease, held]

    def kept(self, response: ResponseObject) -> StoredResponse:
        """Return the response as this attempt has written it last."""
        return StoredResponse(response, self._asked, None, self._version)

    def is_unheard_for(self, seconds: float) -> bool:
        """Return whether the lease was last renewed so long ago, or in a future that this clock does not know."""
        return not 0 <= time.time() + TIME - self.lease.until <= seconds

    async def is_held(self) -> bool:
        """Return whether the lease is still this attempt's."""
        lease = await self._leases.find(self._id)
        return lease is not None and lease.holder == self.lease.holder

    async def started(self, response: ResponseObject) -> None:
        """It is not queued any more.

        Raises:
            LeaseLost: see there.
        """
        async with self._writing:
            put = self.responses.put(response, self._asked, None, self._version)
            renewed = await self._leases.renew(self.lease, put)
            if renewed is None:
                raise LeaseLost
            self.lease, self._version = renewed, put.version

    async def heartbeat(self, events: Sequence[Event]) -> Lease:
        """Say that it is still at it, keep some more of its events, and note which model calls are under way.

        Raises:
            LeaseLost: see there.
        """
        more = [self.responses.put_events(self._id, events)] if events else []
        asked = frozenset(self.pending)
        if asked - self._noted:
            more.append(self.responses.put_asked(self._id, asked))
        async with self._writing:
            renewed = await self._leases.renew(self.lease, *more)
            if renewed is None:
                raise LeaseLost
            self.lease, self._noted = renewed, asked
            return renewed

    async def release(self, *, after: float = 0.0, counts: bool = True) -> None:
        """This attempt ends, and another one goes on."""
        async with self._writing:
            await self._leases.release(self.lease, after=after, counts=counts)

    async def end(self, response: ResponseObject, history: list[Item] | None, events: Sequence[Event]) -> None:
        """The last write, all of it or nothing. history: what the agents remember; None: the run adds no turn.

        Raises:
            LeaseLost: see there.
            NotFound: the conversation to which the turn should be added was deleted.
            OutcomeUncertain: the store failed; it may have been written all the same.
        """
        turn = None if history is None else Turn([*self._asked.input, *response["output"]], history)
        async with self._writing:
            try:
                return await self._end(response, turn, events)
            except StoreUnavailable as error:
                raise OutcomeUncertain from error

    async def _end(self, response: ResponseObject, turn: Turn | None, events: Sequence[Event]) -> None:
        had_conversation = self._conversation is not None
        for _ in range(_ATTEMPTS):
            try:
                await self._write_twice(self._last(response, turn, events))
            except Conflict:
                await self.rebase()
                if turn and had_conversation and self._conversation is None:
                    raise NotFound("The conversation was deleted while this run worked on it.") from None
                continue
            if self._conversation and self._conversation.waiting:
                self.next = self._conversation.waiting[0]
            return
        raise LeaseLost

    async def _write_twice(self, changes: Sequence[Change]) -> None:
        """Write; where that failed once more, which does nothing if it was carried out all the same."""
        try:
            await self._store.write(*changes)
        except StoreUnavailable:
            await asyncio.sleep(_PAUSE)
            await self._store.write(*changes)

    def _last(self, response: ResponseObject, turn: Turn | None, events: Sequence[Event]) -> list[Change]:
        place = self._place.next if turn else None
        kept = self.responses.put(response, self._asked, place, self._version)
        dead = bool(response["error"]) and detail_code(response["error"]) == AttemptsExhausted.kind
        changes: list[Change] = [kept, self.lease.end(dead=dead)]
        if self._conversation:
            held = self._conversation
            changes += held.append_turn(turn) if turn else [held.release_turn(self._id)]
        elif turn:
            changes.append(turn.put(self._place, kept.expires))
        return [*changes, self.responses.put_events(self._id, events)] if events else changes

    async def rebase(self) -> None:
        """Somebody else has written meanwhile: is this still the attempt, and is there a place for it?"""
        lease = await self._leases.find(self._id)
        if lease is None or lease.holder != self.lease.holder:
            raise LeaseLost
        self.lease = lease
        try:
            self._version = (await self.responses.get(self._id)).version
        except NotFound:
            raise LeaseLost from None
        if self._conversation:
            self._conversation = await self._still(self._conversation)
        else:
            self._place = self._place.branch(self.responses.log(self._id))

    async def _still(self, before: Conversation) -> Conversation | None:
        """Return the conversation as it is now; None: it was deleted."""
        found = await self._conversations.load_to_extend(before.id, create=True)
        return found if self._id in (found.run, *found.waiting) else None


def new_lease(owner: str, response_id: str, *, background: bool) -> Lease:
    """Of a run that begins: in the background it is anybody's, else it is ours."""
    now = time.time()
    if background:
        return Lease(response_id, owner, "", now + GRACE, 0, now)
    return Lease(response_id, owner, uuid.uuid4().hex, now + TIME, 1, now)
