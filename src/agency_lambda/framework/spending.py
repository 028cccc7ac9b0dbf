"""The interface of budgets to the model calls of a run."""

from collections.abc import Iterable
from typing import Any, Protocol

from agency_lambda.errors import Interruption, ServiceError


class Reservation(Protocol):
    """See `agency_lambda.budgets`."""

    def settle(self, usage: Any) -> list[Any]: ...

    async def write_settled(self, usage: Any) -> None: ...

    async def release(self) -> None: ...


class Spending(Protocol):
    """See `agency_lambda.budgets`."""

    @property
    def is_limited(self) -> bool: ...

    async def update(self) -> bool: ...

    @property
    def output_tokens(self) -> int: ...

    def worst(self, model: str, input_tokens: int, output_tokens: int, unbounded: Iterable[str] = ()) -> Any: ...

    async def reserve(self, worst: Any) -> Reservation: ...


class CallRefused(Interruption):
    """A model call may not be made, which ends the run."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error)
        self.error = error
