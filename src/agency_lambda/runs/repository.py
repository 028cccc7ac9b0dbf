"""All writes of one attempt at a stored run, each repeated after a conflict with other writers."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.queries import asked_in_messages
from agency_lambda.errors import NotFound, StoreUnavailable
from agency_lambda.history.turns import Turn, delete_partition
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.messages import MessageAnswer
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Event, Item
from agency_lambda.runs import model
from agency_lambda.runs.changes import EventData, Wait, advance
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.message_rows import are_answered, open_messages
from agency_lambda.runs.model import Lease, Run, response_partition
from agency_lambda.runs.retention import keep
from agency_lambda.runs.shared_stream import SharedStream
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import LeaseLost, OutcomeUncertain, load_run, next_run_id
from agency_lambda.runs.transitions import NotAllowed, RunEvent
from agency_lambda.runs.usage import ByModel
from agency_lambda.runs.waiting import (
    ApprovalPolicy,
    MessagesAnswered,
    WaitOver,
    open_approvals,
    shown_request,
    withdrawals,
)
from agency_lambda.store import Change, Conflict, Store

_WAITS = (RunEvent.WAIT, RunEvent.WAIT_FOR_TURN, RunEvent.ASK)
_CONFLICT_SECONDS = model.LEASE_SECONDS  # in which an attempt that conflicts with others writes again
_CONFLICT_PAUSE, _LONGEST_CONFLICT_PAUSE = 0.005, 0.2  # seconds at most before that: the first one, and any
_RETRY_PAUSE = 0.3  # seconds before the last write of a run is repeated, if it failed


MakeWait = Callable[[Run], Wait]
"""Builds the Wait of a run whose response ends with open approvals.

It gets the run as it is, and is called again with the reloaded run after a conflict.
"""


class RunRepository:
    """The unit of work of one attempt at a stored run. Writes raise LeaseLost if another attempt has the lease."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store, self.run = store, run
        self.responses = Responses(store, run.owner)
        self._leases = Leases(store)
        self._stored_pending: Set[str] = frozenset()
        self._writing = asyncio.Lock()  # a heartbeat is never written over the end

    @property
    def lease(self) -> Lease:
        assert self.run.lease
        return self.run.lease

    def is_unheard_for(self, seconds: float) -> bool:
        """Return whether the lease was not renewed for that long, or the clock was changed."""
        lease = self.run.lease
        return lease is not None and not 0 <= time.time() + model.LEASE_SECONDS - lease.until <= seconds

    async def is_held(self) -> bool:
        """Return whether the store says that this attempt has the lease."""
        lease = await self._leases.find(self.run.id)
        return lease is not None and lease.holder == self.lease.holder

    async def start(self, *, counts: bool = False) -> None:
        """Write that the agents begin to work. counts: among its owner's runs at once again, after it has waited."""
        await self._apply(RunEvent.START, EventData(counts_again=counts))

    async def heartbeat(self, events: list[Event], pending: dict[str, dict[str, Any]]) -> Lease:
        """Renew the lease, and store new events. pending: model calls without an answer, by key."""
        new_pending = pending if pending.keys() - self._stored_pending else {}
        await self._apply(RunEvent.HEARTBEAT, EventData(events=events, pending_calls=new_pending))
        self._stored_pending = pending.keys()
        return self.lease

    async def release(
        self, *, after: float = 0.0, counts_as_attempt: bool = True, response: ResponseObject | None = None
    ) -> None:
        """End this attempt, so that another one goes on. response: with the output so far, which no event has."""
        data = EventData(after=after, counts_as_attempt=counts_as_attempt, response=response)
        await self._apply(RunEvent.RELEASE, data)

    async def end(
        self,
        event: RunEvent,
        response: ResponseObject,
        history: list[Item] | None,
        events: list[Event],
        by_model: ByModel | None = None,
        more: Sequence[Change] = (),
        asked: MakeWait | None = None,
        answer: MessageAnswer | None = None,
    ) -> str | None:
        """Write the end. Returns the id of the run that gets its conversation's lock, if any.

        history: None if it adds no turn. more: changes to write with it. asked: of a response that ends with open
        approvals. answer: of a child run, whose history is that of its message.

        Raises:
            NotFound: its conversation was deleted.
        """
        stored = self.run.stored
        replaces = len(stored.continues.before) if stored.continues else 0
        items = [*stored.request.input, *response["output"]]
        turn = None if history is None or stored.sending else Turn(items, history, replaces)
        try:
            if asked:
                await keep(self._store, self.run, asked(self.run).kept_until)
            data = EventData(response=response, turn=turn, events=events, by_model=by_model, answer=answer)
            before = await self._apply(event, data, is_last=True, more=more, make_wait=asked)
        except StoreUnavailable as error:
            raise OutcomeUncertain from error
        return None if asked else next_run_id(before, self.run)

    async def shown_before(self) -> set[str]:
        """Return the ids of complete items that the responses have shown which this run continues."""
        before = self.run.stored.continues.before if self.run.stored.continues else []
        items = [item for each in before for item in await self.responses.output(each)]
        shown = [each for each in items if each.get("status") == "completed"]
        return {item["id"] for item in shown if item["type"] != "mcp_approval_request"}

    async def open_approvals(self, requests: Sequence[ApprovalRequest], policy: ApprovalPolicy) -> list[Approval]:
        """Return all open approvals of the run, earlier ones and new ones. Raises WaitOver, OutcomeUncertain."""
        try:
            return await open_approvals(self._store, self.run, requests, policy)
        except WaitOver:
            self.run = await self._rebase(appends=False)
            raise
        except StoreUnavailable as error:
            raise OutcomeUncertain from error

    def shared_stream(self) -> SharedStream | None:
        """Return the stream that a child run adds to, if its root is streamed."""
        sending = self.run.stored.sending
        if sending is None or not self.run.stored.is_streamed:
            return None
        return SharedStream(self._store, self.run.owner, sending.shown_in)

    async def show_asked(self) -> None:
        """Show what child runs have asked persons before this root let them add to its stream."""
        if self.run.stored.sending or not self.run.stored.is_streamed:
            return
        place = self._store, self.run.owner, self.run.id
        await SharedStream(*place).show_items([*map(shown_request, await asked_in_messages(*place))])

    async def agents_until(self) -> float:
        """Return the first deadline of open messages. Raises WaitOver if there are none."""
        place = self._store, self.run.owner, self.run.stored.root
        try:
            if found := await open_messages(*place):
                return float(min(record.body["until"] for record in found))
            self.run = await self._rebase(appends=False)
            raise MessagesAnswered if await are_answered(*place) else WaitOver
        except StoreUnavailable as error:
            raise OutcomeUncertain from error

    async def wait(
        self,
        response: ResponseObject,
        events: list[Event],
        wait: Wait,
        by_model: ByModel | None,
        more: Sequence[Change] = (),
    ) -> None:
        """Begin to wait for persons or agents. Raises WaitOver if something has come meanwhile."""
        try:
            await keep(self._store, self.run, wait.needed_until)
            data = EventData(response=response, events=events, wait=wait, by_model=by_model)
            await self._apply(RunEvent.WAIT, data, is_last=True, more=more)
        except StoreUnavailable as error:
            raise OutcomeUncertain from error

    async def wait_for_turn(self, until: float, kept_until: int) -> None:
        """Wait in the conversation, behind a run that waits itself."""
        await keep(self._store, self.run, kept_until)
        try:
            await self._apply(RunEvent.WAIT_FOR_TURN, EventData(wait=Wait(until, kept_until, kept_until)))
        except WaitOver:  # it was cancelled, or its turn has come
            await self.release(counts_as_attempt=False)

    async def purge_if_deleted(self) -> None:
        with suppress(StoreUnavailable):  # what is left expires
            if await self._store.get(response_partition(self.run.owner, self.run.id), "response") is None:
                await delete_partition(self._store, response_partition(self.run.owner, self.run.id))

    async def _apply(
        self,
        event: RunEvent,
        data: EventData,
        *,
        is_last: bool = False,
        more: Sequence[Change] = (),
        make_wait: MakeWait | None = None,
    ) -> Run:
        """Write what an event changes, again after a conflict. Returns the run as it was. Raises LeaseLost."""
        async with self._writing:
            appends = data.turn is not None
            begun, pause = time.monotonic(), _CONFLICT_PAUSE
            while time.monotonic() - begun < _CONFLICT_SECONDS:
                if appends and self.run.has_lost_conversation:
                    raise NotFound("The conversation was deleted while this run worked on it.")
                before = self.run
                if event in _WAITS and (self.lease.wake_pending or self.lease.cancelled):
                    raise WaitOver
                if make_wait:
                    data = replace(data, wait=make_wait(before))
                try:
                    after, changes = advance(before, event, data)
                    changes += more
                    if before.stored.asked and after.lease is None and not data.wait:
                        changes += await withdrawals(self._store, before)
                    await (self._write_twice(changes) if is_last else self._store.write(*changes))
                except NotAllowed:  # this attempt has ended or released the run already
                    raise LeaseLost from None
                except Conflict:
                    self.run = await self._rebase(appends=appends)
                    await asyncio.sleep(random.uniform(0, pause))
                    pause = min(2 * pause, _LONGEST_CONFLICT_PAUSE)
                    continue
                self.run = after
                return before
        raise LeaseLost  # nobody renewed it meanwhile: it has ended

    async def _write_twice(self, changes: list[Change]) -> None:
        try:
            await self._store.write(*changes)
        except StoreUnavailable:
            await asyncio.sleep(_RETRY_PAUSE)
            await self._store.write(*changes)

    async def _rebase(self, *, appends: bool) -> Run:
        """Reload the run. Raises LeaseLost if another attempt has it."""
        lease = await self._leases.find(self.run.id)
        if lease is None or lease.holder != self.lease.holder:
            raise LeaseLost
        try:
            run = await load_run(self._store, self.run.owner, self.run.id, lease)
        except NotFound:
            raise LeaseLost from None
        if run.stored.request.conversation_id is None:
            cursor = self.run.cursor
            return replace(run, cursor=cursor.branch(self.responses.log(run.id)) if appends else cursor)
        return run
