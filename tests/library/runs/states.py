"""Runs without agents: what the service and its attempts write, with faults at every write."""

import asyncio
import tempfile
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from agency_lambda.errors import NotFound
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.queue.messages import owner_of
from agency_lambda.runs import resuming
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import Lease, Run, StoredRequest, StoredResponse, response_partition
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.run_index import entry_key, index_partition
from agency_lambda.runs.service import RunService
from agency_lambda.runs.transitions import TABLE, RunEvent, State, lease_state
from agency_lambda.runs.waiting import ApprovalPolicy, WaitOver, wait_in_continuation, wait_in_place
from agency_lambda.store import Conflict, Store, StoreUnavailable, open_store

OWNER, CONVERSATION = "owner", "conv_1"
POLICY = ApprovalPolicy("agency", "both", 3600.0)
REQUEST = ApprovalRequest(key="Clerk/1", agent="Clerk", name="refund", arguments="{}")


class Crash(BaseException):
    """The process ends here."""


class Faulty:
    """A store whose next writes fail: "before" or "after" they take effect, by a "crash", or by a conflicting write."""

    def __init__(self, store: Store, faults: list[str], conflict: Callable[[], Awaitable[Any]] | None = None) -> None:
        self._store, self._faults, self._conflict = store, faults, conflict
        self.get, self.query = store.get, store.query

    async def write(self, *changes: Any) -> None:
        fault = self._faults.pop(0) if self._faults else ""
        if fault == "conflict" and self._conflict:
            await self._conflict()
        if fault == "crash before":
            raise Crash
        if fault == "before":
            raise StoreUnavailable("The store is away.")
        await self._store.write(*changes)
        if fault == "crash after":
            raise Crash
        if fault == "after":
            raise StoreUnavailable("Nobody knows whether it was written.")

    async def aclose(self) -> None: ...


class Messages:
    """A queue that remembers what it was sent."""

    durable = True

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: Any, after: float = 0.0, *, owner: str = "") -> None:
        assert owner_of(message, owner) == OWNER
        self.sent.append(message)

    async def send_runs(self, run_ids: Sequence[str], *, owner: str) -> None:
        self.sent += run_ids


class Service(RunService):
    """The service without agents."""

    def __init__(self, store: Any) -> None:
        self.store, self.leases = store, Leases(store)
        self.queue = self.messages = Messages()  # type: ignore[assignment]

    async def take(self, run_id: str) -> RunRepository | None:
        return await resuming.take(self, run_id)

    async def cancel(self, owner: str, response_id: str) -> Any:
        """Mark it, and what continues it, as `cancel_run` does, which then waits for their ends."""
        record = await self.store.get(response_partition(OWNER, response_id), "response")
        if record and record.body and (continued_by := record.body.get("continued_by")):
            return await self.cancel(owner, continued_by)
        return await self.leases.cancel(response_id)


async def new(store: Store, *, background: bool, conversation_id: str | None = None) -> Run:
    """A run that is not stored yet."""
    run_id, conversation, cursor = new_id("resp"), None, HistoryCursor()
    cursor = cursor.branch(f"{OWNER}/log/{run_id}")
    if conversation_id:
        conversation = await Conversations(store, OWNER).load_to_extend(conversation_id, create=True)
        cursor = conversation.end
    response = {
        "id": run_id,
        "status": "",
        "background": background,
        "output": [],
        "error": None,
        "store": True,
        "metadata": {},
    }
    response |= {"metadata": {}} | dict.fromkeys(("created_at", "completed_at", "incomplete_details", "usage"))
    said = [{"type": "message", "id": run_id}]
    body = {"background": background, "model": "agency", "input": "Pay."}
    asked = StoredRequest(body, said, cursor.as_json, conversation_id)
    lease = Lease(run_id, OWNER, "", 0.0, 0, time.time())
    return Run(OWNER, StoredResponse(response | {"model": "agency"}, asked), cursor, lease, conversation)


async def stored(store: Store, run_id: str) -> tuple[State, dict[str, Any] | None, Lease | None]:
    """How a run lies in the store."""
    record = await store.get(response_partition(OWNER, run_id), "response")
    response = record.body["response"] if record and record.body else None
    lease = await Leases(store).find(run_id)
    if response is None:
        return (State.DELETED if lease else State.ABSENT), None, lease
    is_final = response["status"] in FINAL
    assert is_final == (lease is None or lease.dead), f"{run_id}: {response['status']} with {lease}"
    return lease_state(lease), response, lease


async def entry_status(store: Store, run_id: str) -> str | None:
    """What the index of runs says of it; None for no entry."""
    key = entry_key(run_id)
    assert key
    record = await store.get(index_partition(OWNER), key)
    return record and record.body["status"]


async def check_entry(store: Store, run_id: str) -> None:
    """A run has an entry if and only if it has a response, and the same status when it is final."""
    _, response, _ = await stored(store, run_id)
    status = await entry_status(store, run_id)
    if response and response["status"] in FINAL:
        assert status == response["status"]
    elif response:
        assert status in (response["status"], "queued" if response["background"] else "in_progress")
    else:
        assert status is None


async def expire(store: Store, run_id: str) -> None:
    lease = await Leases(store).find(run_id)
    if lease and not lease.dead and not lease.is_waiting:
        with suppress(Conflict):
            await store.write(lease.put(until=1.0))


async def end(attempt: RunRepository, event: RunEvent) -> str | None:
    """What `Attempt` does at its end. Returns the id of the run whose turn comes."""
    appends = TABLE[State.HELD, event].conversation == "append"
    if appends and attempt.run.waits_for_conversation:  # only a cancelled run is taken before its turn
        event, appends = RunEvent.END_CANCELLED, False
    response = {**attempt.run.stored.response, "output": []}
    try:
        return await attempt.end(event, response, history(attempt.run) if appends else None, [])
    except NotFound:
        return await attempt.end(RunEvent.FAIL, response, None, [])


def history(run: Run) -> list[dict[str, Any]]:
    """What the agents remember of a run is that of those that it continues, too."""
    before = run.stored.continues.before if run.stored.continues else []
    return [{"id": each} for each in (*before, run.id)]


async def wait(attempt: RunRepository, requests: Sequence[ApprovalRequest] = (REQUEST,)) -> None:
    approvals = await attempt.open_approvals(requests, POLICY)
    await attempt.wait({**attempt.run.stored.response, "output": []}, [], wait_in_place(approvals), None)


async def ask(attempt: RunRepository, requests: Sequence[ApprovalRequest] = (REQUEST,)) -> str:
    """End a response with an open approval, and return the id of the run that continues it."""
    approvals = await attempt.open_approvals(requests, POLICY)
    response = {**attempt.run.stored.response, "output": [], "usage": {}}
    make = partial(wait_in_continuation, approvals=approvals, by_model={}, response=response)
    await attempt.end(RunEvent.ASK, response, history(attempt.run), [], asked=make)
    assert attempt.run.stored.continued_by
    return attempt.run.stored.continued_by


async def wait_or_ask(attempt: RunRepository, requests: Sequence[ApprovalRequest]) -> None:
    """What `Attempt` does when its agents ask; raises NotFound if the conversation was deleted."""
    is_background = attempt.run.stored.response["background"]
    try:
        await (wait if is_background else ask)(attempt, requests)
    except WaitOver:
        if attempt.lease.cancelled:
            await end(attempt, RunEvent.END_CANCELLED)
        else:
            await attempt.release(counts_as_attempt=not attempt.lease.wake_pending)


class StoreWalk(RuleBasedStateMachine):
    """A state machine over runs in a store of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.folder = asyncio.Runner(), tempfile.TemporaryDirectory()
        self.store = open_store(f"sqlite:///{self.folder.name}/runs.db")

    def teardown(self) -> None:
        try:
            self.runner.run(self.finish())
        finally:
            self.runner.run(self.store.aclose())
            self.runner.close()
            self.folder.cleanup()

    @abstractmethod
    async def finish(self) -> None: ...
