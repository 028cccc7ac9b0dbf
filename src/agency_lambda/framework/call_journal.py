"""What a run's models and tools need of its journal, which `agency_lambda.runs.journal.Journal` is.

A run that is not stored has one, too; then nothing of an earlier attempt is found, and what is saved is given back.
What stores a row raises AnswerNotStored if the store cannot be written.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from agency_lambda.framework.models import ModelAnswer, ModelRequest, ModelUnavailable
from agency_lambda.framework.spending import Reservation
from agency_lambda.history import UniqueIds
from agency_lambda.protocol.approvals import Decision


@dataclass(frozen=True)
class JournaledCall:
    """A model call under its key in the journal."""

    key: str
    agent: str
    request: ModelRequest
    parent: str = ""  # the enclosing tool call's key
    has_own_input: bool = False  # nothing else of the run holds what the agent was asked
    items_digest: str = ""  # of agent and items; "" if the run is not stored
    started_at: float = field(default_factory=time.time)


class JournalEntry(Protocol):
    """A stored answer. ids: maps an item's index to its id in the response."""

    @property
    def answered(self) -> ModelAnswer: ...

    @property
    def ids(self) -> dict[int, str]: ...


class ModelCallJournal(Protocol):
    """Model calls and their answers. call_ids, item_ids: what makes a provider's ids unique in the run."""

    call_ids: UniqueIds
    item_ids: UniqueIds

    @property
    def pending(self) -> Mapping[str, dict[str, Any]]:
        """Return the calls of this attempt without an answer, by key, as the trace shows them."""
        ...

    @property
    def ids(self) -> set[str]:
        """Return the response's ids of all items in stored answers."""
        ...

    def begin_call(
        self, agent: str, request: ModelRequest, parent: str = "", *, has_own_input: bool = False
    ) -> JournaledCall:
        """Return a call under a key that no other call of this attempt has. parent: the enclosing tool call's key."""
        ...

    def release(self, key: str) -> None:
        """Free the key of a call that ended without an answer."""
        ...

    def find(self, call: JournaledCall) -> JournalEntry | None:
        """Return the stored answer; without one the call is pending from now on."""
        ...

    async def save_answer(
        self,
        call: JournaledCall,
        answered: ModelAnswer,
        ids: dict[int, str],
        reservation: Reservation | None = None,
    ) -> JournalEntry:
        """Store an answer and settle its reservation. Return the stored one, maybe another attempt's."""
        ...

    def note_usable(self, key: str, output: list[Any]) -> None:
        """Note the output with which the SDK goes on, so that its calls are found by their ids."""
        ...

    async def forget_answer(self, output: list[Any] | None) -> bool:
        """Delete the answer with an unusable output. Return False if one of its calls has begun."""
        ...

    def unused_answers(self) -> list[ModelAnswer]:
        """Return, once, the stored answers that this attempt has not come to."""
        ...

    def has_answers_within(self, call: str) -> bool:
        """Return whether an earlier attempt stored answers of models within a tool call."""
        ...

    def find_failure(self, key: str) -> ModelUnavailable | None:
        """Return the failure of a call after which an earlier attempt went on."""
        ...

    def note_failure(self, call: JournaledCall, error: ModelUnavailable) -> None:
        """Store the failure with the next row, as the run then has gone on."""
        ...

    async def forget_failure(self, error: ModelUnavailable) -> None:
        """Delete the failure that ends this attempt."""
        ...


class ToolCallJournal(Protocol):
    """Tool calls, their outputs, and what persons have decided about them. call: a tool call's key."""

    has_asked: bool  # whether earlier attempts have asked a person anything

    def tool_call_key(self, agent: str, call_id: str) -> str:
        """Return the key of a call, the same in every attempt. call_id: unique in the run."""
        ...

    def place(self, call_id: str) -> tuple[str, int] | None:
        """Return the key of the answer that made a call, and the call's index in it; None for other calls."""
        ...

    def calls_before(self, call_id: str) -> list[Any]:
        """Return the function calls before a call in its answer."""
        ...

    def find_tool_output(self, call: str) -> tuple[bool, Any]:
        """Return whether an output is stored, and the output."""
        ...

    def has_tool_output(self, call: str) -> bool: ...

    async def save_tool_output(self, call: str, output: Any, tool: str, started_at: float) -> Any:
        """Store an output. Return the stored one, maybe another attempt's. started_at: in Unix seconds."""
        ...

    async def allow_call(self, call: str, most: float) -> bool:
        """Return whether a call is among the first `most` of the run, alike in every attempt."""
        ...

    def was_asked(self, call: str) -> bool:
        """Return whether a person was asked about a call."""
        ...

    def find_decision(self, call: str) -> Decision | None:
        """Return what a person has decided. call: the approval's key."""
        ...


class CallJournal(ModelCallJournal, ToolCallJournal, Protocol):
    """All of it. hits: calls whose answer, failure or output was found. attempt: the number of this attempt, from 1."""

    hits: int
    attempt: int

    @property
    def open_messages(self) -> set[str]:
        """Return the keys of the rows of messages without an answer."""
        ...

    def unused_messages(self) -> list[dict[str, Any]]:
        """Return, once, the rows of answered messages that this attempt has not come to."""
        ...

    def find_row(self, key: str) -> dict[str, Any] | None:
        """Return a row of another kind. key: see `agency_lambda.protocol.journal_keys`."""
        ...

    async def add_row(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Store a row of another kind. Return the stored one: `body` itself, or an earlier one."""
        ...
