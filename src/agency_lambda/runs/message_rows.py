"""The rows of messages that child runs work on."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agency_lambda.protocol.journal_keys import Row, stored_key, stored_range
from agency_lambda.protocol.messages import MessageAnswer, failure_text, late_reason
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.runs.model import Run, Sending, expiry, response_partition
from agency_lambda.runs.usage import ByModel
from agency_lambda.store import ABSENT, Add, Change, Delete, Put, Record, Store

OPEN = "message/"  # one row for each message without an answer, by batch
ENDED_PARTITION = "messages/ended"  # one row for each child run that has ended and may have to wake its sender
COUNTER = "messages"  # of the root's child runs, and of the tool calls of all of them
TOOL_CALLS = "tool_calls"  # counted only where the client limits them


def _digest(batch: str) -> str:
    return hashlib.sha256(batch.encode()).hexdigest()[:16]


def _place(owner: str, sending: Sending) -> tuple[str, str]:
    """Return the partition and the sort key of a message's row in its sender's journal."""
    return response_partition(owner, sending.journal), stored_key(Row.MESSAGE.key(sending.message.key))


def _batch_place(owner: str, sending: Sending) -> tuple[str, str]:
    return response_partition(owner, sending.journal), stored_key(Row.BATCH.key(_digest(sending.message.batch)))


def open_rows(batch: str = "") -> str:
    return f"{OPEN}{_digest(batch)}/" if batch else OPEN


def open_row(sending: Sending) -> str:
    return open_rows(sending.message.batch) + sending.message.key


def sent_changes(owner: str, sending: Sending, run_id: str, most: int) -> list[Change]:
    """Return what is written with a new child run. LimitReached: its root has sent `most` messages."""
    partition = response_partition(owner, sending.journal)
    body = {"run": run_id, "until": sending.until}
    reason = late_reason(sending.seconds)
    late = {"row": Row.MESSAGE.key(sending.message.key), "output": failure_text(sending.message.recipient, reason)}
    return [
        first_row(owner, sending, body),
        Put(partition, open_row(sending), {**body, "late": late}, expiry(), expected=ABSENT),
        Add(response_partition(owner, sending.root), COUNTER, {"sent": 1}, {"sent": most}, expiry()),
    ]


def first_row(owner: str, sending: Sending, body: dict[str, Any]) -> Put:
    """Return the change that writes a message's row, where no attempt of its sender has."""
    return Put(*_place(owner, sending), body, expiry(), expected=ABSENT)


def batch_change(owner: str, sending: Sending, memory: Sequence[Item], shared: Mapping[str, Any]) -> Put:
    """Return the change that writes what `load_batch` returns, where no attempt of the sender has."""
    body = {"memory": list(memory), "shared": dict(shared)}
    return Put(*_batch_place(owner, sending), body, expiry(), expected=ABSENT)


def answered_changes(run: Run, answer: MessageAnswer | None, by_model: ByModel | None) -> list[Change]:
    """Return what the end of a child run writes for its sender; nothing if nobody waits for it any more.

    answer: None if the recipient has none; then the run's response says why.
    """
    sending = run.stored.sending
    if sending is None or run.open_message is None:
        return []
    answer = answer or _failure(run, sending, by_model)
    partition = response_partition(run.owner, sending.journal)
    body = {"run": run.id, "ended_at": round(time.time(), 3), **asdict(answer)}
    return [
        Put(*_place(run.owner, sending), body, expiry()),
        Delete(partition, open_row(sending), expected=run.open_message),
        Put(ENDED_PARTITION, run.id, wakes(run.owner, sending), expiry()),
    ]


def _failure(run: Run, sending: Sending, by_model: ByModel | None) -> MessageAnswer:
    response = run.stored.response
    return MessageAnswer(
        output=failure_text(sending.message.recipient, _reason(response, sending)),
        items=response["output"],
        usage=response["usage"] or {},
        by_model=by_model or {},
        incomplete=response["incomplete_details"] or {},
    )


def _reason(response: ResponseObject, sending: Sending) -> str:
    if error := response["error"]:
        return str(error["message"])
    return "it was cancelled." if time.time() < sending.until else late_reason(sending.seconds)


def late_changes(opened: Record) -> list[Change]:
    """Return what ends the waiting for a message whose run is not there any more. opened: the message's record."""
    late = opened.body["late"]
    body = {"run": opened.body["run"], "output": late["output"], "memory": []}
    return [
        Put(opened.partition, stored_key(late["row"]), body, expiry()),
        Delete(opened.partition, opened.sort, expected=opened.version),
    ]


def wakes(owner: str, sending: Sending) -> dict[str, str]:
    """Return whom the end of a child run may have to wake: the body of its row in ENDED_PARTITION."""
    return {"owner": owner, "run": sending.run, "journal": sending.journal, "batch": sending.message.batch}


async def find_open(store: Store, owner: str, sending: Sending) -> str | None:
    """Return the version of a message's record, None if nobody waits for its answer any more."""
    record = await store.get(response_partition(owner, sending.journal), open_row(sending))
    return record.version if record else None


async def find_row(store: Store, owner: str, sending: Sending) -> dict[str, Any] | None:
    record = await store.get(*_place(owner, sending))
    return dict(record.body) if record else None


async def open_messages(store: Store, owner: str, journal: str, batch: str = "") -> list[Record]:
    """Return the records of open messages, each with its run's id."""
    prefix = open_rows(batch)
    return await store.query(response_partition(owner, journal), after=prefix, before=prefix[:-1] + "0")


async def all_messages(store: Store, owner: str, journal: str) -> list[Record]:
    """Return the rows of all messages of a journal."""
    return await store.query(response_partition(owner, journal), **stored_range(Row.MESSAGE))


async def are_answered(store: Store, owner: str, journal: str) -> bool:
    """Return whether a journal has the answers of all messages."""
    records = await all_messages(store, owner, journal)
    return all("output" in record.body for record in records)


async def load_batch(store: Store, owner: str, sending: Sending) -> tuple[list[Item], dict[str, Any]]:
    """Return (memory items, changes of user_context) of the sender and its ancestors as they were before this batch."""
    record = await store.get(*_batch_place(owner, sending))
    return (record.body["memory"], record.body["shared"]) if record else ([], {})
