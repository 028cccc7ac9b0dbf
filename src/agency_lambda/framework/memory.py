"""The agents' messages of a run, as a tree.

Each message works on a fork of its sender's memory. What the messages of one model answer add is joined in the order of
the calls, so that timing decides nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

from agency_swarm.utils import thread
from agency_swarm.utils.thread import ThreadManager

Items = list[Any]
Pair = tuple[str, str]


class _Batch:
    def __init__(self, key: str, before: Items) -> None:
        self.key, self.before = key, before
        self.ended: dict[int, Items] = {}  # number of a call -> what it has added, not joined yet

    def items(self) -> Items:
        return [item for number in sorted(self.ended) for item in self.ended[number]]


class Memory(ThreadManager):  # type: ignore[misc]
    """Messages of an agency's agents, or of those that work on one message.

    pairs: (sender, recipient) of the messages that this memory is within, from the outside.
    """

    def __init__(
        self,
        load_threads_callback: Callable[[], Items] | None = None,
        save_threads_callback: Callable[[Items], None] | None = None,
        *,
        pairs: tuple[Pair, ...] = (),
    ) -> None:
        super().__init__(load_threads_callback, save_threads_callback)
        self.pairs = pairs
        self._batch: _Batch | None = None

    def fork(self, batch: str, number: int, pair: Pair) -> "Fork":
        """Return the memory of a message. batch, number: the model answer, and the place of the call in it."""
        if self._batch is None or self._batch.key != batch:
            self._merge()
            self._batch = _Batch(batch, [*self._store.messages])
        return Fork(self, self._batch, number, pair)

    @property
    def root(self) -> "Memory":
        return self

    def restore(self, batch: str, number: int, pair: Pair, added: Sequence[Any]) -> None:
        """Join what a message added in an earlier attempt."""
        fork = self.fork(batch, number, pair)
        fork.add_messages([*added])
        fork.join()

    def add_message(self, message: Any) -> None:
        self.add_messages([message])

    def add_messages(self, messages: Items) -> None:
        self._merge()
        super().add_messages(messages)

    def replace_messages(self, messages: Items) -> None:
        self._batch = None
        super().replace_messages(messages)

    def clear(self) -> None:
        self._batch = None
        super().clear()

    def persist(self) -> None:
        self._merge()
        super().persist()

    def get_all_messages(self) -> Items:
        """Return the messages, with those of ended forks behind them."""
        return [*self._store.messages, *self._batch.items()] if self._batch else self._store.messages.copy()

    def get_conversation_history(self, agent: str, caller_agent: str | None = None) -> Any:
        if not (self._batch and self._batch.ended):
            return super().get_conversation_history(agent, caller_agent)
        joined = ThreadManager()
        joined.replace_messages(self.get_all_messages())
        return joined.get_conversation_history(agent, caller_agent)

    def _merge(self) -> None:
        # The batch keeps its beginning: its other calls fork from there too.
        if self._batch and self._batch.ended:
            items, self._batch.ended = self._batch.items(), {}
            super().add_messages(items)

    def _end(self, batch: _Batch, number: int, added: Items) -> None:
        if batch is self._batch:
            batch.ended[number] = added
        elif added:  # of an earlier batch, whose other calls were cancelled
            self.add_messages(added)


class Fork(Memory):
    """The memory of the agents that work on one message. Nothing of it is loaded or saved."""

    def __init__(self, parent: Memory, batch: _Batch, number: int, pair: Pair) -> None:
        super().__init__(pairs=(*parent.pairs, pair))
        self._parent, self._of, self._number = parent, batch, number
        self._store.messages = [*batch.before]
        self._begin = len(batch.before)

    @property
    def root(self) -> Memory:
        return self._parent.root

    @property
    def before(self) -> Items:
        """Return what the sender's memory held before the batch."""
        return self._of.before

    @property
    def added(self) -> Items:
        return self.get_all_messages()[self._begin :]

    def join(self) -> None:
        """Give what was added to the sender's memory."""
        self._parent._end(self._of, self._number, self.added)


def install() -> None:
    """Make every agency's memory a tree, also of agencies that are made within a run."""
    from agency_swarm.agency import core

    modules: Any = (thread, core)
    for module in modules:
        module.ThreadManager = Memory
