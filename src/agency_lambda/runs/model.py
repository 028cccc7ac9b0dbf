"""The records of a run: its lease, and its response with the request. The run itself is both, and its conversation."""

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agency_lambda.history.conversations import Conversation
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.journal_keys import Row, stored_key
from agency_lambda.protocol.messages import Message
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Event, Item
from agency_lambda.store import ABSENT, Delete, Put, Record

LEASE_SECONDS = 20.0  # that a lease holds without being renewed
GRACE = 10.0  # seconds that the queue has to bring a run to a worker, before the run is queued again
LONGEST_PAUSE = 300.0  # seconds between two attempts at most
CLOCK_SKEW = 60.0  # seconds that the clocks of two processes may differ by
RETENTION = 30 * 24 * 3600  # seconds that a response, its events and its turn are kept
EVENT_ROWS, BEHIND_EVENT_ROWS = "event/", "event0"  # each row has some events, and the number of the first as its name
LEASE_PARTITIONS = [f"running#{number:02x}" for number in range(16)]
WAITING_PARTITIONS = [f"waiting#{number:02x}" for number in range(16)]  # of runs that wait, for anything
DUE_PARTITION = "waiting/due"  # one entry each, by the time when its waiting ends
# Fields of a lease -> their names in its record, and their values where it lacks them. Processes of earlier versions
# work on the same records: they cannot read others, and the oldest ones only records without these.
_STORED_AS = {"wake_pending": "decided", "attempts_before_wait": "forgiven", "waits_for_child_runs": "for_agents"}
_NAMES_OF_STORED = {stored_as: name for name, stored_as in _STORED_AS.items()}
_IF_NOT_STORED = {"wake_pending": False, "attempts_before_wait": 0, "waits_for_child_runs": False}


def expiry() -> int:
    """Return when a record that is written now expires, in Unix seconds."""
    return int(time.time()) + RETENTION


def lease_partition(run_id: str, *, waiting: bool = False) -> str:
    """Return one of 16 partitions, as DynamoDB limits the writes to each."""
    partitions = WAITING_PARTITIONS if waiting else LEASE_PARTITIONS
    return partitions[zlib.crc32(run_id.encode()) % len(partitions)]


def response_partition(owner: str, run_id: str) -> str:
    return f"{owner}/response/{run_id}"


def event_row(number: int) -> str:
    return f"{EVENT_ROWS}{number:09d}"


@dataclass(frozen=True)
class Lease:
    """The lease of an unfinished run: who works on it, and until when."""

    id: str
    owner: str
    holder: str  # the attempt at work, or ""
    until: float  # Unix seconds
    attempts: int  # begun
    queued_at: float
    lost: int = 0  # attempts whose lease has expired
    cancelled: bool = False  # it is to end
    dead: bool = False  # it was given up, and its message is no dead letter yet
    wake_pending: bool = False  # a decision, or the answers of child runs, arrived during this attempt
    attempts_before_wait: int = 0  # that do not count towards MOST_ATTEMPTS
    waits_for_child_runs: bool = False  # their answers wake it, and persons' decisions if it has asked for some
    version: str = ABSENT
    partition: str = ""

    def __post_init__(self) -> None:
        if not self.partition:
            object.__setattr__(self, "partition", lease_partition(self.id))

    @classmethod
    def from_record(cls, record: Record) -> "Lease":
        return cls(id=record.sort, version=record.version, partition=record.partition, **_from_body(record.body))

    def put(self, **changed: Any) -> Put:
        body = asdict(replace(self, **changed))
        del body["id"], body["version"], body["partition"]
        for name, stored_as in _STORED_AS.items():
            if value := body.pop(name):
                body[stored_as] = value
        return Put(self.partition, self.id, body, expected=self.version)

    def delete(self) -> Delete:
        return Delete(self.partition, self.id, expected=self.version)

    def moved(self, *, waiting: bool) -> "Lease":
        """Return it as it is in the partition of waiting or of other runs, where it is not written yet."""
        return replace(self, partition=lease_partition(self.id, waiting=waiting), version=ABSENT)

    def written(self, put: Put) -> "Lease":
        """Return the lease as a write of `put` has left it."""
        return replace(self, **{**_IF_NOT_STORED, **_from_body(put.body)}, partition=put.partition, version=put.version)

    @property
    def is_waiting(self) -> bool:
        return self.partition in WAITING_PARTITIONS

    @property
    def waits_for_person(self) -> bool:
        return self.is_waiting and not self.waits_for_child_runs

    def waits_for(self, *, has_asked: bool) -> str | None:
        """Return "person", or "agents" if it only waits for them. has_asked: whether persons are asked."""
        if not self.is_waiting:
            return None
        return "agents" if self.waits_for_child_runs and not has_asked else "person"

    @property
    def due_key(self) -> str:
        """Return the key of its entry in DUE_PARTITION, in the order of deadlines."""
        return f"{int(self.until):012d}/{self.id}"

    @property
    def is_overdue(self) -> bool:
        """Return whether it has expired, or was written by a wrong clock."""
        now, longest = time.time(), LEASE_SECONDS if self.holder else LONGEST_PAUSE + GRACE
        return not self.dead and not now < self.until <= now + longest + CLOCK_SKEW


def _from_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a lease from its record's body."""
    return {_NAMES_OF_STORED.get(name, name): value for name, value in body.items()}


@dataclass(frozen=True)
class StoredRequest:
    """start: the cursor that it continues, as JSON."""

    body: dict[str, Any]
    input: list[Item]
    start: list[Any]
    conversation_id: str | None


@dataclass(frozen=True)
class Continuation:
    """What a run takes over from the responses that ended with an open approval."""

    before: list[str]  # their ids; the first one has the journal and the input
    usage: dict[str, Any]  # what they have paid for
    by_model: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Sending:
    """The message that a child run works on, and who waits for it."""

    message: Message
    run: str  # to wake
    journal: str  # the response in whose partition that run's journal is
    root: str  # the response that the client has asked for, which has the budget
    shown_in: str  # the response whose stream shows it: the root, or what continues it
    until: float  # the deadline, in Unix seconds
    seconds: float  # from when it was sent


@dataclass(frozen=True)
class StoredResponse:
    """A response as it is stored, with its request."""

    response: ResponseObject
    request: StoredRequest
    cursor: HistoryCursor | None = None  # the end of its turn
    version: str = ABSENT
    budget: dict[str, Any] | None = None  # `counted` among its owner's runs; `reserved` for its first call
    asked: list[dict[str, Any]] = field(default_factory=list)  # approvals that it waits for, without their contents
    continues: Continuation | None = None
    continued_by: str | None = None  # the run that goes on, as this response has ended with an open approval
    sending: Sending | None = None  # of a child run, which is neither in lists nor in the history
    waits_for_child_runs: bool = False  # as of its last write: it stays set while the run goes on

    @classmethod
    def from_record(cls, record: Record) -> "StoredResponse":
        body = record.body
        request = StoredRequest(body["request"], body["input"], body["start"], body["thread"])
        cursor = HistoryCursor.from_json(body["place"]) if body["place"] else None
        continues = Continuation(**body["continues"]) if "continues" in body else None
        waiting = {"asked": body.get("asked", []), "continues": continues, "continued_by": body.get("continued_by")}
        sending = body.get("sending")
        waiting["waits_for_child_runs"] = body.get("for_agents", False)
        if sending:
            waiting["sending"] = Sending(**{**sending, "message": Message(**sending["message"])})
        return cls(body["response"], request, cursor, record.version, body.get("budget"), **waiting)

    def put(self, owner: str, expires: int | None = None) -> Put:
        body = {
            "response": self.response,
            "request": self.request.body,
            "input": self.request.input,
            "start": self.request.start,
            "thread": self.request.conversation_id,
            "place": self.cursor and self.cursor.as_json,
            **({"budget": self.budget} if self.budget else {}),
            **({"asked": self.asked} if self.asked else {}),
            **({"continues": asdict(self.continues)} if self.continues else {}),
            **({"continued_by": self.continued_by} if self.continued_by else {}),
            **({"sending": asdict(self.sending)} if self.sending else {}),
            **({"for_agents": True} if self.waits_for_child_runs else {}),
        }
        partition = response_partition(owner, self.response["id"])
        return Put(partition, "response", body, expires or expiry(), expected=self.version)

    @property
    def root(self) -> str:
        """Return the id of the response in whose partition the run's journal is."""
        run_id: str = self.response["id"]
        return self.continues.before[0] if self.continues else run_id

    @property
    def is_streamed(self) -> bool:
        return bool(self.request.body.get("stream"))


@dataclass(frozen=True)
class Run:
    """A stored or new run, which only transitions change."""

    owner: str
    stored: StoredResponse
    cursor: HistoryCursor  # to which its turn is appended
    lease: Lease | None  # None when it is final
    conversation: Conversation | None = None
    open_message: str | None = None  # the version of the record that lets a child run answer; None: nobody waits for it

    @property
    def id(self) -> str:
        run_id: str = self.stored.response["id"]
        return run_id

    @property
    def is_new(self) -> bool:
        return self.stored.version == ABSENT

    @property
    def waits_for_conversation(self) -> bool:
        """Return whether another run holds the conversation's lock, and this one is behind it in the line."""
        return self.conversation is not None and self.id in self.conversation.waiting_run_ids

    @property
    def has_lost_conversation(self) -> bool:
        """Return whether its conversation was deleted since the run was created."""
        return self.stored.request.conversation_id is not None and self.conversation is None

    def put_events(self, events: Sequence[Event], expires: int | None = None) -> Put:
        partition = response_partition(self.owner, self.id)
        return Put(partition, event_row(events[0]["sequence_number"]), list(events), expires or expiry())

    def put_pending(self, calls: Mapping[str, dict[str, Any]]) -> Put:
        return Put(response_partition(self.owner, self.id), stored_key(Row.PENDING), dict(calls), expiry())
