import time

_FRESH = 10.0  # seconds that a process uses what it has read
_MOST_OWNERS = 10_000  # of whom a process remembers it


class OwnerCache[T]:
    """What a process has read of each owner, such as its limits."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[float, T]] = {}

    def fresh(self, owner: str) -> T | None:
        """Return None if it is to be read again."""
        read_at, value = self._read.get(owner, (0.0, None))
        # The wall clock, as a monotonic one may stop while Lambda freezes the process.
        return value if 0 <= time.time() - read_at < _FRESH else None

    def last(self, owner: str) -> T | None:
        """Return what was read last, however long ago."""
        return self._read.get(owner, (0.0, None))[1]

    def keep(self, owner: str, value: T) -> T:
        if len(self._read) >= _MOST_OWNERS:
            self._read.clear()
        self._read[owner] = time.time(), value
        return value

    def forget(self, owner: str) -> None:
        self._read.pop(owner, None)
