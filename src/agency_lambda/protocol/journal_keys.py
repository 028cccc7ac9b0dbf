"""The keys of the rows of a journal, which holds what a run must not pay for or do twice."""

from enum import StrEnum
from typing import TypedDict

_STORED_UNDER = "journal/"


class Row(StrEnum):
    """The kinds of rows.

    A run and those that continue it share a journal, in the partition of the first one's response. CALL is the key of
    a tool call, which is the same in every attempt: AGENT/DIGEST, in earlier versions AGENT/CALL_ID/1.

    MODEL: model/DIGEST[/DIGEST]/NUMBER, of agent, items and tools, and of the call around them. A model's answer.
    FAILED: failed/ and a MODEL key. A failed model call, after which the run went on to another model.
    TOOL: tool/CALL. The output of a tool call.
    ALLOWED: allowed/CALL. Whether `max_tool_calls` allows a tool call.
    DECISION: decision/ and an approval's key, which begins with CALL. What a person has decided.
    MESSAGE: message/CALL. The child run that works on a message to a colleague, and later its answer.
    BATCH: batch/DIGEST, of the model call's key. The memory with which the child runs of a batch begin.
    ONCE: once/CALL/DIGEST/NUMBER/NUMBER, of function and arguments. A call under `@once` is about to be made.
    MADE: made/, as ONCE. The outcome of that call.
    FILE: file/CALL/NUMBER, or file/, a MODEL key and /NUMBER. The id of a file that `save_file` or a provider's code
        interpreter has written.
    PENDING: asked. The model calls that were without an answer at the last heartbeat, by their MODEL keys.
    """

    MODEL = "model"
    FAILED = "failed"
    TOOL = "tool"
    ALLOWED = "allowed"
    DECISION = "decision"
    MESSAGE = "message"
    BATCH = "batch"
    ONCE = "once"
    MADE = "made"
    FILE = "file"
    PENDING = "asked"

    def key(self, *parts: str | int) -> str:
        """Return the key of a row. A number among the parts gets four digits."""
        return "/".join((self, *(part if isinstance(part, str) else f"{part:04d}" for part in parts)))

    def has(self, key: str) -> bool:
        """Return whether a key is one of this kind."""
        return key.startswith(f"{self}/")

    def rest(self, key: str) -> str:
        """Return what a key of this kind has behind the kind."""
        return key.removeprefix(f"{self}/")


class Range(TypedDict):
    """Arguments of `Store.query`."""

    after: str
    before: str


def stored_key(key: str) -> str:
    """Return the sort key of a row in the store."""
    return f"{_STORED_UNDER}{key}"


def row_key(sort: str) -> str:
    """Return the key of a row that the store has under `sort`."""
    return sort.removeprefix(_STORED_UNDER)


def stored_range(row: Row | None = None) -> Range:
    """Return between which sort keys the store has all rows, or those of one kind."""
    begin = stored_key(f"{row}/") if row else _STORED_UNDER
    return Range(after=begin, before=f"{begin[:-1]}0")  # "0" follows "/"
