"""The agents' memory, in a form that any provider accepts."""

from agency_lambda.history.items import is_call, is_empty, is_output
from agency_lambda.history.replayable import sendable, storable
from agency_lambda.history.unique_ids import UniqueIds

__all__ = ["UniqueIds", "is_call", "is_empty", "is_output", "sendable", "storable"]
