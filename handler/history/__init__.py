"""The agents' memory in a form that any provider accepts at any later time."""

from handler.history.call_ids import CallIds
from handler.history.items import is_call, is_empty, is_output
from handler.history.replayable import kept, sendable

__all__ = ["CallIds", "is_call", "is_empty", "is_output", "kept", "sendable"]
