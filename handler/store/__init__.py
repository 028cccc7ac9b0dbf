"""Where conversations are kept: one contract; the settings say which store fulfils it."""

from collections.abc import Sequence
from typing import Any, Protocol

from handler.errors import ConversationBusy, StoreUnavailable

__all__ = ["ConversationBusy", "Item", "Store", "StoreUnavailable"]

Item = dict[str, Any]


class Store(Protocol):
    """Conversation items as appended deltas: what a turn writes does not grow with the conversation.

    Every method raises StoreUnavailable when the store cannot be read or written; never an empty history instead.
    """

    async def load(self, conversation: str) -> list[Item]:
        """The items in order; [] for a conversation that does not exist yet."""
        ...

    async def append(self, conversation: str, position: int, items: Sequence[Item]) -> None:
        """Add items behind the first `position` ones, all or none.

        Raises:
            ConversationBusy: the conversation has grown since it was loaded.
        """
        ...
