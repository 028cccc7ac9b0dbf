from typing import Any, Protocol

from agency_lambda.framework.models import ModelAnswer, ModelRequest, ModelUnavailable
from agency_lambda.framework.spending import Reservation
from agency_lambda.history import UniqueIds


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
    pending: set[str]

    @property
    def ids(self) -> set[str]: ...

    def model_call_key(self, agent: str, request: ModelRequest, parent_call_key: str = "") -> str: ...

    def find(self, key: str) -> JournalEntry | None: ...

    def find_failure(self, key: str) -> ModelUnavailable | None: ...

    def note_failure(self, key: str, error: ModelUnavailable) -> None: ...

    async def forget_failure(self, error: ModelUnavailable) -> None: ...

    async def save_answer(
        self,
        key: str,
        answered: ModelAnswer,
        ids: dict[int, str],
        parent_call_key: str = "",
        reservation: Reservation | None = None,
    ) -> JournalEntry: ...

    def note_usable(self, key: str, output: list[Any]) -> None: ...

    async def forget_answer(self, output: list[Any] | None) -> bool: ...

    def unused_answers(self) -> list[ModelAnswer]: ...

    def release(self, key: str) -> None: ...

    def tool_call_key(self, agent: str, call_id: str) -> str: ...

    def find_tool_output(self, call: str) -> tuple[bool, Any]: ...

    async def save_tool_output(self, call: str, output: Any) -> Any: ...

    async def allow_call(self, call: str, most: float) -> bool: ...
