"""Messages between agents on which runs of their own work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agency_lambda.protocol.types import Item

type Pairs = Sequence[Sequence[str]]
"""Names of agents, (sender, recipient)."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A call of `send_message`."""

    key: str  # the call's, the same in every attempt
    batch: str  # the model answer that has sent it
    number: int  # its place there
    sender: str
    recipient: str
    tool: str  # the name of `send_message`, which an agency may have changed
    arguments: str  # JSON
    call_id: str  # the model's
    activity: str | None = None  # the id of the item that shows the call
    enclosing: Pairs = ()  # the messages around it, the outermost first
    output_tokens: int | None = None  # what is left of the client's limit; None for none

    @property
    def pairs(self) -> Pairs:
        """Return those around it, and its own."""
        return [*self.enclosing, (self.sender, self.recipient)]


@dataclass(frozen=True, kw_only=True)
class MessageAnswer:
    """What comes back."""

    output: str  # what the sender's model gets
    memory: Sequence[Item] = ()  # what it has added to the agents' memory
    items: Sequence[Item] = ()  # activities
    usage: Mapping[str, Any] = field(default_factory=dict)  # of its run, and of those that this has sent messages to
    by_model: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # the provider's model -> counts
    shared: Mapping[str, Any] = field(default_factory=dict)  # see `SharedValues.answer`
    incomplete: Mapping[str, Any] = field(default_factory=dict)  # `incomplete_details`, which end the sender's run, too


def failure_text(recipient: str, reason: str) -> str:
    """Return what the framework returns to the sender's model for a message that failed."""
    return f"Error: Failed to get response from agent '{recipient}'. Reason: {reason}"


def late_reason(seconds: float) -> str:
    return f"it did not answer within {seconds:g} seconds."
