"""Call ids that are unique within a run and what it continues: servers repeat them, as `call_0` in every answer."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


class CallIds:
    """The call ids of one run and of the memory that it continues."""

    def __init__(self, memory: Iterable[Mapping[str, Any]] = ()) -> None:
        self._used = {item["call_id"] for item in memory if item.get("call_id")}

    def claim(self, given: str | None, call: str) -> str:
        """Return the id that a call goes by: the given one, or one of our own where another call has that.

        call: which call of which answer it is. One of our own is the same in every attempt at the run.
        """
        own = hashlib.sha256(f"{call}/{given}".encode()).hexdigest()[:24]
        claimed = given if given and given not in self._used else f"call_{own}"
        self._used.add(claimed)
        return claimed

    def restore(self, call_ids: Iterable[str]) -> None:
        """Note ids that an earlier attempt at the run has given."""
        self._used.update(call_ids)
