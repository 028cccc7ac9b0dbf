"""Whether calls are quick enough to be made on the event loop."""

LIMIT = 0.005  # seconds that a call may block the loop
_FEWEST, _MOST = 4, 1024


class Pace:
    """After a slow call, some quick ones in a thread are needed."""

    def __init__(self) -> None:
        self._needed = self._left = _FEWEST  # quick calls in a thread before the next one on the loop

    @property
    def is_quick(self) -> bool:
        return self._left <= 0

    def record(self, seconds: float) -> None:
        is_slow = seconds > LIMIT
        if not self.is_quick:
            self._left -= not is_slow
        elif is_slow:
            self._left = self._needed = min(2 * self._needed, _MOST)
        else:
            self._needed = max(self._needed - 1, _FEWEST)
