"""Stop sequences. Agencies have none, so what a run says is cut where the first one begins."""

from collections.abc import Sequence


class StopSequences:
    """Cuts a text that comes in pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._held = stops, ""
        self._longest = max(map(len, stops), default=1) - 1
        self.found = False

    def add(self, text: str) -> str:
        """Return what can be shown: the end of a text may be the beginning of a stop sequence."""
        if self.found or not self._stops:
            return "" if self.found else text
        held = self._held + text
        # The sequence that ends first is the one at which a model would have stopped.
        ends = [(place + len(stop), place) for stop in self._stops if (place := held.find(stop)) >= 0]
        self.found = bool(ends)
        shown = min(ends)[1] if ends else max(len(held) - self._longest, 0)
        self._held = held[shown:]
        return held[:shown]

    def end(self) -> str:
        """Return the rest of the text."""
        return "" if self.found else self._held
