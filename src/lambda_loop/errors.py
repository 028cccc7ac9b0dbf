"""What the event loop raises. The last two are BaseExceptions, which frameworks and retrying threads do not catch.

EventLoopError
  EventLoopConflict
DeadlineExceeded
InvocationOver
"""

import asyncio
import inspect
from asyncio import events

from .places import place, user_frame


class EventLoopError(RuntimeError):
    """The event loop cannot be set up or used this way."""


class EventLoopConflict(EventLoopError):
    """Synchronous code entered an event loop that is already running."""

    def __init__(self, call: str, instead: str) -> None:
        caller = user_frame(inspect.currentframe())
        self.call = call  # e.g. "asyncio.run()"
        self.place = place(caller)  # file:line of the user's code
        self.instead = instead  # what to write there
        super().__init__(f"{call} at {self.place} conflicts with the running event loop. Write {instead} instead.")
        self._caller = caller
        self._task = asyncio.current_task() if events._get_running_loop() else None

    @property
    def hidden(self) -> bool:
        """Return whether other code than the caller has caught this."""
        task, traceback = self._task, self.__traceback__
        if task is not None and task.done() and not task.cancelled() and task.exception() is self:
            return True  # the outermost frame is the task's own, but it did not catch anything
        return traceback is None or traceback.tb_frame is not self._caller


class DeadlineExceeded(BaseException):
    """The invocation's time is up."""


class InvocationOver(BaseException):
    """The invocation of this thread or task has ended."""
