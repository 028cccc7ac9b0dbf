"""Ids that are unique in a run."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


class UniqueIds:
    def __init__(self, memory: Iterable[Mapping[str, Any]] = (), field: str = "call_id") -> None:
        self.field = field
        self._used = {item[field] for item in memory if item.get(field)}

    def claim(self, given: str | None, place: str) -> str:
        """Return the given id, or our own if it is taken."""
        if given and given not in self._used:
            claimed = given
        else:
            digest = hashlib.sha256(f"{place}/{given}".encode()).hexdigest()[:24]
            claimed = f"{self.field.removesuffix('_id')}_{digest}"
        self._used.add(claimed)
        return claimed

    def restore(self, items: Iterable[Mapping[str, Any]]) -> None:
        self._used.update(item[self.field] for item in items if item.get(self.field))
