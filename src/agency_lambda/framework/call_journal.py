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


class CallJournal(Protocol):
    """The interface of `agency_lambda.runs.journal.Journal`."""

    call_ids: UniqueIds
    item_ids: UniqueIds
    hits: int
    attempt: int
    has_asked: bool

    @property
    def open_messages(self) -> set[str]: ...

    @property
    def pending(self) -> Mapping[str, dict[str, Any]]: ...

    @property
    def ids(self) -> set[str]: ...

    def begin_call(
        self, agent: str, request: ModelRequest, parent: str = "", *, has_own_input: bool = False
    ) -> JournaledCall: ...

    def find(self, call: JournaledCall) -> JournalEntry | None: ...

    def find_failure(self, key: str) -> ModelUnavailable | None: ...

    def note_failure(self, call: JournaledCall, error: ModelUnavailable) -> None: ...

    async def forget_failure(self, error: ModelUnavailable) -> None: ...

    async def save_answer(
        self,
        call: JournaledCall,
        answered: ModelAnswer,
        ids: dict[int, str],
        reservation: Reservation | None = None,
    ) -> JournalEntry: ...

    def note_usable(self, key: str, output: list[Any]) -> None: ...

    async def forget_answer(self, output: list[Any] | None) -> bool: ...

    def unused_answers(self) -> list[ModelAnswer]: ...

    def unused_messages(self) -> list[dict[str, Any]]: ...

    def release(self, key: str) -> None: ...

    def tool_call_key(self, agent: str, call_id: str) -> str: ...

    def place(self, call_id: str) -> tuple[str, int] | None: ...

    def calls_before(self, call_id: str) -> list[Any]: ...

    def find_tool_output(self, call: str) -> tuple[bool, Any]: ...

    def has_tool_output(self, call: str) -> bool: ...

    async def save_tool_output(self, call: str, output: Any, tool: str, started_at: float) -> Any: ...

    async def allow_call(self, call: str, most: float) -> bool: ...

    def was_asked(self, call: str) -> bool: ...

    def has_answers_within(self, call: str) -> bool: ...

    def find_decision(self, call: str) -> Decision | None: ...

    def find_row(self, key: str) -> dict[str, Any] | None: ...

    async def add_row(self, key: str, body: dict[str, Any]) -> dict[str, Any]: ...
