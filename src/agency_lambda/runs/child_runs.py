"""Runs that work on messages between agents: each has a lease, a journal and a deadline of its own."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any

from agency_lambda.errors import NotFound, StoreUnavailable
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.messages import Message, failure_text
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import new_response
from agency_lambda.protocol.types import Item
from agency_lambda.runs import sending as rows
from agency_lambda.runs.changes import advance
from agency_lambda.runs.model import Lease, Run, Sending, StoredRequest, StoredResponse, expiry, response_partition
from agency_lambda.runs.repository import OutcomeUncertain
from agency_lambda.runs.transitions import RunEvent
from agency_lambda.store import ABSENT, Conflict, Delete, LimitReached, Put, Record

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

_AT_ONCE = 16  # runs that are deleted at the same time


@dataclass(frozen=True)
class MessageLimits:
    """most: child runs of one root. depth: messages around each other. seconds: until a message fails."""

    most: int
    depth: int
    seconds: float


class ChildRuns:
    """The child runs of one attempt's run. history: where the agents' memory begins that was there before its root."""

    def __init__(self, runs: "RunService", sender: Run, history: HistoryCursor, limits: MessageLimits) -> None:
        self._runs, self._sender, self._history, self._limits = runs, sender, history, limits
        self._sending = asyncio.Lock()  # they have a counter and their batch's row in common
        self._batches: set[str] = set()
        self.sent = 0
        self.may_be_open = True  # until a journal says that there are none

    async def send(self, message: Message, memory: Sequence[Item], shared: Mapping[str, Any]) -> dict[str, Any]:
        """Store and queue a run for a message. Returns its row in the journal, which is an earlier attempt's if there.

        memory: items that the run has added to the agents' memory before the message's batch. shared: see `Send`.
        """
        if len(message.pairs) > self._limits.depth:
            return _refused(message, f"A message may be sent by {self._limits.depth} messages within each other.")
        sending = self._sending_of(message)
        run = self._new_run(sending)
        async with self._sending:
            await self._save_batch(sending, {"memory": list(memory), "shared": dict(shared)})
            try:
                changes = advance(run, RunEvent.ENQUEUE)[1]
                sent = rows.sent_changes(run.owner, sending, run.id, self._limits.most)
                await self._runs.store.write(*changes, *sent)
            except LimitReached:
                return _refused(message, f"A run may send {self._limits.most} messages.")
            except Conflict:  # another attempt of this run, which has lost its lease, has sent it
                return dict((await self._row(sending)).body)
        self.sent += 1
        await self._runs.send(run.id, owner=run.owner)
        return {"run": run.id}

    async def end(self) -> None:
        """Cancel those that still work. Raises OutcomeUncertain."""
        if not (self.sent or self.may_be_open):
            return
        owner, journal = self._sender.owner, self._sender.stored.root
        try:
            for run_id in await rows.open_messages(self._runs.store, owner, journal):
                await _cancel(self._runs, owner, run_id)
        except StoreUnavailable as error:
            raise OutcomeUncertain from error

    def _sending_of(self, message: Message) -> Sending:
        stored = self._sender.stored
        root, shown_in = stored.root, self._sender.id
        if stored.sending:
            root, shown_in = stored.sending.root, stored.sending.shown_in
        until = time.time() + self._limits.seconds
        return Sending(message, self._sender.id, stored.root, root, shown_in, until)

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

    async def _save_batch(self, sending: Sending, body: dict[str, Any]) -> None:
        row = rows.batch_row(sending.message.batch)
        if row not in self._batches:
            partition = response_partition(self._sender.owner, sending.journal)
            with suppress(Conflict):  # an earlier attempt has written it, which knew what its tools had shared
                await self._runs.store.write(Put(partition, f"journal/{row}", body, expiry(), expected=ABSENT))
            self._batches.add(row)

    async def _row(self, sending: Sending) -> Record:
        partition = response_partition(self._sender.owner, sending.journal)
        record = await self._runs.store.get(partition, f"journal/{rows.message_row(sending.message.key)}")
        if record is None:
            raise NotFound("The run was deleted.")
        return record


def _refused(message: Message, reason: str) -> dict[str, Any]:
    return {"output": failure_text(message.recipient, reason), "memory": []}


async def wake_sender(runs: "RunService", run_id: str, wakes: dict[str, str]) -> None:
    """Queue the sender of a child run that has ended, if it was the last of its batch. wakes: see `sending.wakes`."""
    owner, sender = wakes["owner"], wakes["run"]
    if not await rows.open_messages(runs.store, owner, wakes["journal"], wakes["batch"]):
        await runs.give_turn(owner, sender)
    await runs.store.write(Delete(rows.ENDED_PARTITION, run_id))


async def wake_senders(runs: "RunService") -> None:
    """Do what processes have not done that died behind the end of a child run."""
    for record in await runs.store.query(rows.ENDED_PARTITION, limit=100):
        await wake_sender(runs, record.sort, record.body)


async def end_overdue(runs: "RunService", owner: str, journal: str) -> bool:
    """Cancel child runs whose deadline has passed; return whether there are any."""
    found = await rows.open_messages(runs.store, owner, journal)
    overdue = [run_id for run_id, body in found.items() if body["until"] <= time.time()]
    for run_id in overdue:
        await _cancel(runs, owner, run_id)
    return bool(overdue)


async def _cancel(runs: "RunService", owner: str, run_id: str) -> None:
    if await runs.leases.cancel(run_id):
        await runs.send(run_id, owner=owner)


async def delete_child_runs(runs: "RunService", owner: str, journal: str) -> None:
    """Delete the child runs of a run whose journal is about to be deleted."""
    after, before = "journal/message/", "journal/message0"
    records = await runs.store.query(response_partition(owner, journal), after=after, before=before)
    run_ids = [record.body["run"] for record in records if "run" in record.body]

    async def delete(run_id: str) -> None:
        with suppress(NotFound):
            await runs.delete(owner, run_id)

    for some in batched(run_ids, _AT_ONCE, strict=False):
        await asyncio.gather(*map(delete, some))
