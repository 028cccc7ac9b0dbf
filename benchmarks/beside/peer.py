"""What is measured beside others: how it is started, and how it is asked."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from benchmarks.beside.client import Client, Request


async def own_id(client: Client) -> str:
    """Return an id that the client makes itself, which is enough for most."""
    return uuid4().hex


@dataclass(frozen=True)
class Form:
    """One way to ask a peer for a run.

    keeps: what is stored when the run has ended. request: of a message and the id of a conversation.
    """

    title: str
    keeps: str
    request: Callable[[str, str], Request]


@dataclass(frozen=True)
class Peer:
    """A server in a process of its own.

    forms: the first is what it is compared by. start: an id for a new conversation. stream: of a message.
    fill: puts turns of (message, answer) into a conversation; None where only runs can.
    """

    name: str
    command: Callable[[int], list[str]]  # of the port
    variables: Callable[[int, Path], Mapping[str, str]]  # of the port and an empty folder
    forms: tuple[Form, ...]
    stream: Callable[[str], Request] | None = None
    start: Callable[[Client], Awaitable[str]] = own_id
    fill: Callable[[Client, str, int], Awaitable[None]] | None = None
    keeps_conversations: bool = field(default=True)
