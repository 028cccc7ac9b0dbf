"""Ids that are unique in a run."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_NO_ID = "__fake_id__"  # the SDK's, of items of Chat Completions


class UniqueIds:
    def __init__(self, memory: Iterable[Mapping[str, Any]] = (), field: str = "call_id") -> None:
        self.field = field
        self._used, self._joined = self._of(memory), set[str]()

    def claim(self, given: str | None, place: str) -> str:
        """Return the given id, or our own if it is taken."""
        taken = not given or given in self._used or given in self._joined
        claimed = self._own(given, place) if taken else str(given)
        self._used.add(claimed)
        return claimed

    def restore(self, items: Iterable[Mapping[str, Any]]) -> None:
        self._used |= self._of(items)

    def join(
        self, items: Sequence[dict[str, Any]], others: Iterable[Mapping[str, Any]], place: str
    ) -> list[dict[str, Any]]:
        """Return items of another run, with our own ids in place of those that this run or `others` have.

        They are the same whenever and in whatever order runs are joined: what is joined counts for later claims alone.
        """
        taken = (self._of(others) | self._used) - {_NO_ID}
        joined = [
            {**item, self.field: self._own(given, place)} if (given := item.get(self.field)) in taken else item
            for item in items
        ]
        self._joined |= self._of(joined)
        return joined

    def _of(self, items: Iterable[Mapping[str, Any]]) -> set[str]:
        return {item[self.field] for item in items if item.get(self.field)}

    def _own(self, given: str | None, place: str) -> str:
        digest = hashlib.sha256(f"{place}/{given}".encode()).hexdigest()[:24]
        return f"{self.field.removesuffix('_id')}_{digest}"
