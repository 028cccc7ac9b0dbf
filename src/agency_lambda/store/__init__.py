"""The store: keyed records with conditional writes, in two backends."""

import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

from agency_lambda.errors import StoreUnavailable

__all__ = ["ABSENT", "Change", "Conflict", "Delete", "Put", "Record", "Store", "StoreUnavailable", "open_store"]

ABSENT = ""  # the `expected` version of a record that must not exist


class Conflict(Exception):
    """A write did not find what it expected, and has changed nothing."""


@dataclass(frozen=True)
class Record:
    """A stored JSON body under its key."""

    partition: str
    sort: str  # orders the records of a partition, as bytes
    body: Any
    version: str  # changes with every write
    expires: int | None = None  # Unix seconds; None: never
    size: int = field(default=0, compare=False)  # bytes of the body as JSON


@dataclass(frozen=True)
class Put:
    """Write a record if its stored version is as expected."""

    partition: str
    sort: str
    body: Any
    expires: int | None = None
    expected: str | None = None  # a version, ABSENT, or None for any
    version: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Delete:
    """Remove a record if its stored version is as expected."""

    partition: str
    sort: str
    expected: str | None = None


Change = Put | Delete


class Store(Protocol):
    """Keyed records, read strongly consistent.

    Every method raises StoreUnavailable if the store fails. An expired record does not exist.
    """

    async def get(self, partition: str, sort: str) -> Record | None: ...

    async def query(
        self, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> list[Record]:
        """Return the records with after < sort < before, in order."""
        ...

    async def write(self, *changes: Change) -> None:
        """Apply all changes or none: at most 25, of different records. Raises Conflict."""
        # Repeating the same Put is no conflict. A write whose task is cancelled may still happen.
        ...

    async def aclose(self) -> None: ...


def open_store(url: str) -> Store:
    """Open the store of `sqlite:///PATH` or `dynamodb://TABLE`."""
    scheme, _, name = url.partition("://")
    if scheme == "dynamodb":
        from agency_lambda.store.dynamodb import DynamoDBStore

        return DynamoDBStore(name)
    from agency_lambda.store.sqlite import SQLiteStore

    return SQLiteStore(name.removeprefix("/"))
