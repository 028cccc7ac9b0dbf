"""Ids that are unique within a run and what it continues: servers repeat them, as `call_0` in every answer."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


class UniqueIds:
    """The ids of one run and of the memory that it continues.

    field: which ones, "call_id" of calls or "id" of items.
    """

    def __init__(self, memory: Iterable[Mapping[str, Any]] = (), field: str = "call_id") -> None:
        self.field = field
        self._used = {item[field] for item in memory if item.get(field)}

    def claim(self, given: str | None, place: str) -> str:
        """Return the id that an item goes by: the given one, or one of our own where another item has that.

        place: which item of which answer it is. One of our own is the same in every attempt at the run.
        """
        if given and given not in self._used:
            claimed = given
        else:
            digest = hashlib.sha256(f"{place}/{given}".encode()).hexdigest()[:24]
            claimed = f"{self.field.removesuffix('_id')}_{digest}"
        self._used.add(claimed)
        return claimed

    def restore(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Note the ids of items that an earlier attempt at the run has been answered."""
        self._used.update(item[self.field] for item in items if item.get(self.field))
