"""Who is told that a run waits for somebody to work on it: one contract; the settings say which queue fulfils it.

A message is only a hint. What has to be done is in the store, so a message that is lost, late, early or sent twice does
no harm: a sweeper finds what nobody works on.
"""

from typing import Protocol


class Queue(Protocol):
    """durable: somebody receives what is sent, also when this process ends."""

    durable: bool

    async def send(self, run: str, delay: float = 0.0) -> None:
        """Somebody should work on this run, `delay` seconds from now."""
        ...

    async def retry_soon(self, receipt: str) -> None:
        """The message that came with this receipt has failed: bring it again soon, not after as long as a run takes."""
        ...

    async def aclose(self) -> None:
        """Close what the queue holds open."""
        ...


def open_queue(name: str) -> Queue:
    """The queue of QUEUE: `local`, or the URL of an SQS queue; only the one that is named is imported."""
    if name == "local":
        from agency_lambda.queue.local import LocalQueue

        return LocalQueue()
    from agency_lambda.queue.sqs import SQSQueue

    return SQSQueue(name)
