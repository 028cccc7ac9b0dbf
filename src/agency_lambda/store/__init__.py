"""Where everything is kept: one contract of keyed records; the settings say which store fulfils it.

A record is found by `partition` and `sort`; the records of one partition are ordered by `sort` (as bytes). Whoever
writes says what must be there: that is all it takes to append, to claim, to lease and to keep two writers apart.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

from agency_lambda.errors import StoreUnavailable

__all__ = ["ABSENT", "Change", "Conflict", "Delete", "Put", "Record", "Store", "StoreUnavailable", "open_store"]

ABSENT = ""
"""As `expected`: nothing may be there yet."""


class Conflict(Exception):
    """What a write expected was not there; nothing of it was written."""


@dataclass(frozen=True)
class Record:
    """What is kept: `body` is JSON, `version` changes with every write, `expires` is in Unix seconds (None: never).

    size: bytes of the body as JSON.
    """

    partition: str
    sort: str
    body: Any
    version: str
    expires: int | None = None
    size: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Put:
    """Write a record, whatever is there (`expected=None`), only where nothing is (ABSENT), or over that version."""

    partition: str
    sort: str
    body: Any
    expires: int | None = None
    expected: str | None = None
    version: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Delete:
    """Remove a record, if it is there; with `expected`, only that version of it."""

    partition: str
    sort: str
    expected: str | None = None


Change = Put | Delete


class Store(Protocol):
    """Every method raises StoreUnavailable when the store cannot be read or written; never an empty answer instead.

    A record whose time is over is not there, whether or not the store has removed it yet.
    """

    async def get(self, partition: str, sort: str) -> Record | None:
        """One record, as it was last written (strongly consistent)."""
        ...

    async def query(
        self, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> list[Record]:
        """The records with after < sort < before, in order; strongly consistent."""
        ...

    async def write(self, *changes: Change) -> None:
        """All of the changes or none. At most 25, of different records.

        The same Put again (the same version) is no conflict: whoever got no answer may ask again. A write whose task
        is cancelled may still happen.

        Raises:
            Conflict: one of them expected something else.
        """
        ...

    async def aclose(self) -> None:
        """Close what the store holds open."""
        ...


def open_store(url: str) -> Store:
    """The store of `sqlite:///PATH` or `dynamodb://TABLE`; only the one that is named is imported."""
    scheme, _, place = url.partition("://")
    if scheme == "dynamodb":
        from agency_lambda.store.dynamodb import DynamoDBStore

        return DynamoDBStore(place)
    from agency_lambda.store.sqlite import SQLiteStore

    return SQLiteStore(place.removeprefix("/"))
