"""Runs that work on messages between agents."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from agency_lambda.errors import NotFound, StoreUnavailable
from agency_lambda.framework.interruptions import AttemptOver
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.protocol.messages import Message, failure_text
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import new_response
from agency_lambda.protocol.types import Item
from agency_lambda.runs import message_rows as rows
from agency_lambda.runs.cancellation import execute_until_final, for_each
from agency_lambda.runs.changes import advance
from agency_lambda.runs.model import Lease, Run, Sending, StoredRequest, StoredResponse
from agency_lambda.runs.paid_calls import load_paid_by
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import OutcomeUncertain
from agency_lambda.runs.time_left import seconds_to_wait
from agency_lambda.runs.transitions import RunEvent
from agency_lambda.runs.usage import PaidCalls
from agency_lambda.store import Conflict, Delete, LimitReached, Store

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

_END_TIMEOUT = 5.0  # seconds in which child runs end before the end of their sender is written
_SENT_TOGETHER = 10  # runs in one batch of the queue, so that a worker that takes five messages at once gets five


@dataclass(frozen=True)
class MessageLimits:
    """How far the messages of one run may go."""

    most: int  # child runs of one root
    depth: int  # messages within each other
    seconds: float  # until a message fails


class ChildRuns:
    """Sends the messages of a run as child runs. history: the cursor of the conversation before its root run."""

    def __init__(self, runs: "RunService", sender: Run, history: HistoryCursor, limits: MessageLimits) -> None:
        self._runs, self._sender, self._history, self._limits = runs, sender, history, limits
        self._sending = asyncio.Lock()  # they have a counter and their batch's row in common
        self._batches: set[str] = set()
        self._open: set[str] | None = None  # names of messages' rows without an answer; None: not known
        self._has_ended = False
        self._at_work, self._unsent = 0, list[str]()  # calls of `send`; stored runs that are not queued yet
        self.sent = 0

    def restore(self, rows_without_answer: set[str]) -> None:
        """Begin with what an attempt's journal knows."""
        self._open = rows_without_answer

    async def send(self, message: Message, memory: Sequence[Item], shared: Mapping[str, Any]) -> dict[str, Any]:
        """Store and queue a run for a message. Returns its row in the journal, which is an earlier attempt's if there.

        memory: items that the run has added to the agents' memory before the message's batch. shared: see `Send`.
        """
        self._at_work += 1
        try:
            return await self._send(message, memory, shared)
        finally:
            self._at_work -= 1
            if self._unsent and (not self._at_work or len(self._unsent) >= _SENT_TOGETHER):
                run_ids, self._unsent = self._unsent, []
                await self._runs.send_runs(run_ids, owner=self._sender.owner)

    async def _send(self, message: Message, memory: Sequence[Item], shared: Mapping[str, Any]) -> dict[str, Any]:
        sending = self._sending_of(message)
        run = self._new_run(sending)
        async with self._sending:
            if self._has_ended:
                raise AttemptOver
            if len(message.pairs) > self._limits.depth:
                return await self._refuse(sending, f"Messages may be {self._limits.depth} deep within each other.")
            await self._save_batch(sending, memory, shared)
            try:
                changes = advance(run, RunEvent.ENQUEUE)[1]
                sent = rows.sent_changes(run.owner, sending, run.id, self._limits.most)
                await self._runs.store.write(*changes, *sent)
            except LimitReached:
                return await self._refuse(sending, f"A run may send {self._limits.most} messages.")
            except Conflict:  # another attempt of this run, which has lost its lease, has sent it
                return await self._row(sending)
            self.sent += 1
            if self._open is not None:
                self._open.add(Row.MESSAGE.key(message.key))
            self._unsent.append(run.id)
        return {"run": run.id}

    async def end(self) -> PaidCalls | None:
        """Cancel those that still work, and send no more.

        Returns what those have paid for that have not answered before this attempt. Raises OutcomeUncertain.
        """
        async with self._sending:
            self._has_ended = True
        if self._open is not None and not self._open:
            return None
        try:
            return await self._end()
        except StoreUnavailable as error:
            raise OutcomeUncertain from error

    async def _end(self) -> PaidCalls | None:
        owner, journal = self._sender.owner, self._sender.stored.root
        before = await self._open_messages()
        await self._end_all(before.values())
        still = await self._open_messages() if before else {}
        ended = {*(self._open or ()), *before} - still.keys()
        return await load_paid_by(self._runs.store, owner, journal, ended, still.values())

    async def _end_all(self, run_ids: Collection[str]) -> None:
        """Return when they and what they have sent have ended, or after some seconds."""
        levels, owner = await self._levels(run_ids), self._sender.owner
        await for_each([*chain(*levels)], partial(_cancel, self._runs, owner))
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_END_TIMEOUT, max(seconds_to_wait(), 0.0))):
                for level in reversed(levels):  # who has sent messages ends after those who work on them
                    await execute_until_final(self._runs, owner, level)

    async def _levels(self, run_ids: Collection[str]) -> list[list[str]]:
        levels = list[list[str]]()
        while run_ids:
            levels.append([*run_ids])
            found = await for_each(run_ids, partial(open_runs, self._runs.store, self._sender.owner))
            run_ids = [*chain(*(each.values() for each in found))]
        return levels

    async def _open_messages(self) -> dict[str, str]:
        return await open_runs(self._runs.store, self._sender.owner, self._sender.stored.root)

    def _sending_of(self, message: Message) -> Sending:
        stored = self._sender.stored
        root, shown_in, seconds = stored.root, self._sender.id, self._limits.seconds
        if outer := stored.sending:  # which it does not outlive
            root, shown_in = outer.root, outer.shown_in
            seconds = min(seconds, round(max(outer.until - time.time(), 0.0), 1))
        return Sending(message, self._sender.id, stored.root, root, shown_in, time.time() + seconds, seconds)

    def _new_run(self, sending: Sending) -> Run:
        sender, run_id = self._sender, new_id("resp")
        model, streams = sender.stored.response["model"], sender.stored.is_streamed
        request = CreateResponse(model=model, input="a message", background=True)
        conversation = sender.stored.response.get("conversation")
        response = new_response(request, run_id, conversation and conversation["id"])
        response["metadata"] = sender.stored.response["metadata"]
        response |= {"sent_by": sending.run, "root_response_id": sending.shown_in}
        body = {"model": model, "stream": streams}
        stored = StoredResponse(response, StoredRequest(body, [], self._history.as_json, None), sending=sending)
        lease = Lease(run_id, sender.owner, holder="", until=0.0, attempts=0, queued_at=time.time())
        return Run(sender.owner, stored, self._history, lease)

    async def _save_batch(self, sending: Sending, memory: Sequence[Item], shared: Mapping[str, Any]) -> None:
        batch = sending.message.batch
        if batch not in self._batches:
            with suppress(Conflict):  # an earlier attempt has written it, which knew what its tools had shared
                await self._runs.store.write(rows.batch_change(self._sender.owner, sending, memory, shared))
            self._batches.add(batch)

    async def _refuse(self, sending: Sending, reason: str) -> dict[str, Any]:
        # It is written, as another attempt, after a deployment, may have other limits.
        body = {"output": failure_text(sending.message.recipient, reason), "memory": []}
        try:
            await self._runs.store.write(rows.first_row(self._sender.owner, sending, body))
        except Conflict:
            return await self._row(sending)
        return body

    async def _row(self, sending: Sending) -> dict[str, Any]:
        row = await rows.find_row(self._runs.store, self._sender.owner, sending)
        if row is None:
            raise NotFound("The run was deleted.")
        return row


async def open_runs(store: Store, owner: str, journal: str) -> dict[str, str]:
    """Return the runs that work on messages: the message's row in its sender's journal -> the run's id."""
    return {each.body["late"]["row"]: each.body["run"] for each in await rows.open_messages(store, owner, journal)}


async def wake_sender(runs: "RunService", run_id: str, wakes: dict[str, str]) -> None:
    """Queue the sender of a child run that has ended, if it was the last of its batch. wakes: the row of its end."""
    owner, sender = wakes["owner"], wakes["run"]
    if not await rows.open_messages(runs.store, owner, wakes["journal"], wakes["batch"]):
        await runs.leases.give_turn(sender)  # or raise, so that the sweep does it again
        await runs.send(sender, owner=owner)
    await runs.store.write(Delete(rows.ENDED_PARTITION, run_id))


async def wake_senders(runs: "RunService") -> None:
    """Do what processes have not done that died behind the end of a child run."""
    for record in await runs.store.query(rows.ENDED_PARTITION, limit=100):
        await wake_sender(runs, record.sort, record.body)


async def end_overdue(runs: "RunService", owner: str, journal: str) -> bool:
    """Cancel child runs whose deadline has passed; return whether any will wake their sender."""
    is_any_ending = False
    for opened in await rows.open_messages(runs.store, owner, journal):
        if opened.body["until"] > time.time():
            continue
        if await _cancel(runs, owner, opened.body["run"]):
            is_any_ending = True
        else:  # it has expired, or an earlier version of this service has ended it
            with suppress(Conflict):  # it has answered
                await runs.store.write(*rows.late_changes(opened))
    return is_any_ending


async def _cancel(runs: "RunService", owner: str, run_id: str) -> bool:
    """Cancel a run. Returns False if it is final, or gone."""
    lease = await runs.leases.find(run_id)
    if lease and lease.cancelled and not lease.dead:
        return True
    if cancelled := await runs.leases.cancel(run_id):
        await runs.send(run_id, owner=owner)
    return cancelled is not None


async def delete_child_runs(runs: "RunService", owner: str, response_id: str, journal: str) -> None:
    """Delete the child runs of a response that is about to be deleted. journal: the response that has its journal."""
    records = await rows.all_messages(runs.store, owner, journal)
    run_ids = [record.body["run"] for record in records if "run" in record.body]
    responses = Responses(runs.store, owner)

    async def delete(run_id: str) -> None:
        with suppress(NotFound):
            sending = (await responses.get(run_id)).sending
            if journal == response_id or (sending and sending.run == response_id):
                await runs.delete(owner, run_id)

    await for_each(run_ids, delete)
