"""The deadline of a message that is worked on in this process."""

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType

_AGAIN = 0.1  # seconds until a task that has caught its cancellation is cancelled again


class MessageDeadline(AbstractContextManager["MessageDeadline", bool]):
    """Cancels its task after some seconds, again and again, and then suppresses what the task raises of it."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._cancels = seconds, 0

    @property
    def has_passed(self) -> bool:
        return self._cancels > 0

    def __enter__(self) -> "MessageDeadline":
        task = asyncio.current_task()
        assert task
        self._task, self._before = task, task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._cancel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._timer.cancel()
        if not self._cancels:
            return False
        for _ in range(self._cancels):
            self._task.uncancel()
        is_ours = isinstance(error, asyncio.CancelledError) and self._task.cancelling() <= self._before
        return is_ours or isinstance(error, Exception)

    def _cancel(self) -> None:
        self._cancels += 1
        self._task.cancel()
        self._timer = self._task.get_loop().call_later(_AGAIN, self._cancel)
