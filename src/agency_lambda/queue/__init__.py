"""The queue of runs that wait for a worker, of ended runs that are to be exported, and of webhooks' deliveries.

Messages are hints, as the store has the work: one that is lost, late or doubled does no harm. No owner's messages wait
for all that another one has sent before.
"""

from collections.abc import Sequence
from typing import Protocol

from agency_lambda.queue.messages import Message


class Queue(Protocol):
    durable: bool  # whether a message outlives this process

    async def send(self, message: Message, delay: float = 0.0, *, owner: str = "") -> None:
        """Queue a message for a worker, `delay` seconds from now.

        owner: whose run it is, for a fair share. Exports and deliveries name theirs.
        """
        ...

    async def send_runs(self, run_ids: Sequence[str], *, owner: str) -> None:
        """Queue runs of one owner together, so that workers find as many as they take at once."""
        ...

    async def retry_soon(self, receipt: str) -> None:
        """Make a failed message visible again within seconds."""
        ...

    async def aclose(self) -> None: ...


def open_queue(name_or_url: str) -> Queue:
    if name_or_url == "local":
        from agency_lambda.queue.local import LocalQueue

        return LocalQueue()
    from agency_lambda.queue.sqs import SQSQueue

    return SQSQueue(name_or_url)
