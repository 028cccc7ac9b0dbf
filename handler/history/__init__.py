"""The agents' memory in a form that any provider accepts at any later time."""

from handler.history.items import is_call, is_empty, is_output
from handler.history.replayable import kept, sendable
from handler.history.unique_ids import UniqueIds

__all__ = ["UniqueIds", "is_call", "is_empty", "is_output", "kept", "sendable"]
