"""The store: keyed records with conditional writes, in two backends."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from agency_lambda.errors import StoreUnavailable

__all__ = [
    "ABSENT",
    "Add",
    "Change",
    "Conflict",
    "Delete",
    "LimitReached",
    "NotWritten",
    "Put",
    "Record",
    "Store",
    "StoreUnavailable",
    "open_store",
]

ABSENT = ""  # the `expected` version of a record that must not exist


class Conflict(Exception):
    """A write did not find what it expected, and changed nothing."""


class NotWritten(StoreUnavailable):
    """A write failed, and certainly changed nothing."""


class LimitReached(Conflict):
    """A counter, `name`, would pass its limit; nothing else prevented the write. add: the change."""

    def __init__(self, add: "Add", name: str) -> None:
        super().__init__(f"{name!r} would be more than {add.at_most[name]}")
        self.add, self.name = add, name


@dataclass(frozen=True)
class Record:
    partition: str
    sort: str  # orders the records of a partition, as bytes
    body: Any
    version: str  # changes with every write
    expires: int | None = None  # Unix seconds; None: never
    size: int = field(default=0, compare=False)  # bytes of the body as JSON


@dataclass(frozen=True)
class Put:
    """expected: the stored version."""

    partition: str
    sort: str
    body: Any
    expires: int | None = None
    expected: str | None = None  # a version, ABSENT, or None for any
    version: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Delete:
    """expected: the stored version."""

    partition: str
    sort: str
    expected: str | None = None


@dataclass(frozen=True)
class Add:
    """Add to a counter record, {name: int}, which only such changes write.

    at_most: the largest sums, also of counters that nothing is added to.
    """

    expected: ClassVar[None] = None

    partition: str
    sort: str
    amounts: Mapping[str, int]
    at_most: Mapping[str, int] = field(default_factory=dict)
    expires: int | None = None
    version: str = field(default_factory=lambda: uuid.uuid4().hex)

    def exceeded(self, sums: Mapping[str, int]) -> str | None:
        """Return the counter that would pass its limit. sums: as they are."""
        over = (name for name, most in self.at_most.items() if sums.get(name, 0) + self.amounts.get(name, 0) > most)
        return next(over, None)


Change = Put | Delete | Add


class Store(Protocol):
    """Keyed records, read strongly consistent.

    Every method raises StoreUnavailable if the store fails. An expired record does not exist.
    """

    async def get(self, partition: str, sort: str) -> Record | None: ...

    async def query(
        self,
        partition: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Record]:
        """Return the records with after < sort < before. limit: from the end if `descending`."""
        ...

    async def write(self, *changes: Change) -> None:
        """Apply all changes or none: at most 100, of different records. Raises Conflict, LimitReached."""
        # Repeating the same Put is no conflict. A repeated Add adds again, unless it is beside a Put that expects a
        # version. A write whose task is cancelled may still happen.
        ...

    async def aclose(self) -> None: ...


def open_store(url: str) -> Store:
    """url: `sqlite:///PATH` or `dynamodb://TABLE`."""
    scheme, _, name = url.partition("://")
    if scheme == "dynamodb":
        from agency_lambda.store.dynamodb import DynamoDBStore

        return DynamoDBStore(name)
    from agency_lambda.store.sqlite import SQLiteStore

    return SQLiteStore(name.removeprefix("/"))
