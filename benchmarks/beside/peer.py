"""What is measured beside others: how it is started, and how it is asked."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from benchmarks.beside.client import Client, Request


async def new_id(client: Client) -> str:
    """Return an id for a conversation where the client chooses it."""
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

    sources: folders of benchmarks/peers that its own folder has. command: of its port.
    forms: the first is what it is compared by. stream: the request that streams the answer to a message.
    start: a new conversation, where it keeps any. fill: so many turns for it without a run each, where it can.
    """

    name: str
    sources: tuple[str, ...]
    command: Callable[[int], list[str]]
    forms: tuple[Form, ...]
    stream: Callable[[str], Request]
    start: Callable[[Client], Awaitable[str]] | None = new_id
    fill: Callable[[Client, str, int], Awaitable[None]] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[Path, ...] = ()

    def title(self, form: Form) -> str:
        return f"{self.name}, {form.title}" if form.title else self.name
