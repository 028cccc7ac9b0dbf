"""What a run is made from, in the service's terms; `prepare_run` makes its agency, context and execution of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agency_lambda.framework.call_journal import CallJournal
from agency_lambda.framework.shared_values import Values
from agency_lambda.framework.spending import Spending
from agency_lambda.protocol.messages import Message
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.validators import Transport

type GetTransport = Callable[[str, str], Transport]
"""Returns how messages of a sender reach a recipient."""

type Send = Callable[[Message, Sequence[Item], Values], Awaitable[Mapping[str, Any]]]
"""Gives a message to a run of its own; returns the message's row in the journal.

With it go the memory before its batch, and what had been changed in `user_context`.
"""


class RunFiles(Protocol):
    """The files of a run's owner, as `agency_lambda.files.run_files` has them."""

    async def expanded(self, items: Any) -> Any:
        """Return items with the bytes of the files that they name. Raises StoreUnavailable."""
        ...

    @property
    def available(self) -> bool: ...

    async def find(self, file_id: str) -> Any: ...

    async def save(self, file_id: str, name: str, content: bytes, media_type: str | None, container: str) -> Any:
        """Store a file that a run has made, once. Raises ServiceError."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunInput:
    """What a run begins with."""

    request: CreateResponse
    response: ResponseObject
    owner: str
    history: list[Item]  # the agents' memory
    new_input: list[Item]  # the client's, in their format
    output: OutputBuilder
    journal: CallJournal
    root: str  # the response that has the run's journal, from which ids and idempotency keys are made
    asked_in: str  # the response that the client has asked for
    recalled: int  # items of the history that were there before its run
    links: Sequence[tuple[str, str, str]] = ()  # in the client's input: field, part's type, URL
    is_new: bool = False  # no attempt has begun
    spending: Spending | None = None
    message: Message | None = None  # of a child run, in place of the input
    transport: GetTransport | None = None  # of messages between agents; None for "memory" alone
    open_files: Callable[[], RunFiles]
    shared: Mapping[str, Any] = field(default_factory=dict)  # what a child run's sender had changed in `user_context`

    @property
    def caller(self) -> dict[str, Any]:
        """Return what tools find of the caller in `MasterContext.user_context`."""
        conversation = self.response.get("conversation") or {}
        return {
            "owner": self.owner,
            "response_id": self.asked_in,
            "conversation_id": conversation.get("id"),
            "metadata": dict(self.response["metadata"]),
        }
