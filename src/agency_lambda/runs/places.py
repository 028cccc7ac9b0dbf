"""How much one worker process works on at once: in all, and for one owner."""

import math
from collections import Counter, defaultdict

from agency_lambda.queue.messages import Export, Message

#: kind of message -> places, and how many of them one owner may hold; deliveries have places of their own
_PLACES: dict[type, tuple[int, int]] = {str: (12, 10), Export: (4, 4)}


class Places:
    """Counts the messages that are worked on."""

    def __init__(self) -> None:
        self._held = defaultdict[type, Counter[str]](Counter)  # by kind and owner

    def take(self, message: Message, owner: str) -> bool:
        """Take a place, unless all, or all that this owner may hold, are taken."""
        held = self._held[type(message)]
        most, most_of_owner = _PLACES.get(type(message), (math.inf, math.inf))
        if held.total() >= most or held[owner] >= most_of_owner:
            return False
        held[owner] += 1
        return True

    def leave(self, message: Message, owner: str) -> None:
        held = self._held[type(message)]
        held[owner] -= 1
        if not held[owner]:
            del held[owner]
