"""Messages between agents on which runs of their own work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agency_lambda.protocol.types import Item

type Pairs = Sequence[Sequence[str]]
"""Names of agents, (sender, recipient)."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A call of `send_message`.

    key: the call's, the same in every attempt. batch: the model answer that has sent it; number: its place there.
    tool: the name of `send_message`, which an agency may have changed. arguments: JSON. call_id: the model's.
    activity: the id of the item that shows the call. enclosing: the messages around it, the outermost first.
    output_tokens: what is left of the client's limit; None for none.
    """

    key: str
    batch: str
    number: int
    sender: str
    recipient: str
    tool: str
    arguments: str
    call_id: str
    activity: str | None = None
    enclosing: Pairs = ()
    output_tokens: int | None = None

    @property
    def pairs(self) -> Pairs:
        """Return those around it, and its own."""
        return [*self.enclosing, (self.sender, self.recipient)]


@dataclass(frozen=True, kw_only=True)
class MessageAnswer:
    """What comes back.

    output: what the sender's model gets. memory: items that it has added to the agents' memory. items: activities.
    usage: of its run and of those that it has sent messages to; by_model: the provider's model -> counts.
    shared: see `SharedValues.answer`. incomplete: of a response that was broken off, which ends the sender's, too: its
    `incomplete_details`.
    """

    output: str
    memory: Sequence[Item] = ()
    items: Sequence[Item] = ()
    usage: Mapping[str, Any] = field(default_factory=dict)
    by_model: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    incomplete: Mapping[str, Any] = field(default_factory=dict)


def failure_text(recipient: str, reason: str) -> str:
    """Return what the framework returns to the sender's model for a message that failed."""
    return f"Error: Failed to get response from agent '{recipient}'. Reason: {reason}"


def late_reason(seconds: float) -> str:
    return f"it did not answer within {seconds:g} seconds."
