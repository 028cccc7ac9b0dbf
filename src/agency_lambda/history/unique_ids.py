"""Ids that are unique within a run and what it continues, as servers repeat them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


class UniqueIds:
    """The ids of one run and its memory. field: "call_id" or "id"."""

    def __init__(self, memory: Iterable[Mapping[str, Any]] = (), field: str = "call_id") -> None:
        self.field = field
        self._used = {item[field] for item in memory if item.get(field)}

    def claim(self, given: str | None, place: str) -> str:
        """Return the given id, or one of our own if it is taken. place: of the item; the same in every attempt."""
        if given and given not in self._used:
            claimed = given
        else:
            digest = hashlib.sha256(f"{place}/{given}".encode()).hexdigest()[:24]
            claimed = f"{self.field.removesuffix('_id')}_{digest}"
        self._used.add(claimed)
        return claimed

    def restore(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Note the ids of an earlier attempt."""
        self._used.update(item[self.field] for item in items if item.get(self.field))
