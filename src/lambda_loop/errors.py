"""What the event loop raises.

    EventLoopError          the loop cannot be set up or used this way
      EventLoopConflict     synchronous code entered a loop that is running
    DeadlineExceeded        the invocation's time is up
    InvocationOver          the invocation that this code belongs to has ended

The last two are BaseExceptions: frameworks turn an Exception into text for the model, and threads retry after one.
"""

import asyncio
import inspect
from asyncio import events

from .places import place, user_frame


class EventLoopError(RuntimeError):
    """The event loop cannot be set up or used this way; the message says what to do instead."""


class EventLoopConflict(EventLoopError):
    """Synchronous code entered an event loop that is already running.

    Attributes:
        call: what was called, e.g. ``asyncio.run()``.
        place: ``file:line`` of the user's code that called it.
        instead: what to write there.
    """

    def __init__(self, call: str, instead: str) -> None:
        caller = user_frame(inspect.currentframe())
        self.call, self.place, self.instead = call, place(caller), instead
        super().__init__(f"{call} at {self.place} conflicts with the running event loop. Write {instead} instead.")
        self._caller = caller
        self._task = asyncio.current_task() if events._get_running_loop() else None

    @property
    def hidden(self) -> bool:
        """Return whether code other than the function that made the call has caught this."""
        task, traceback = self._task, self.__traceback__
        if task is not None and task.done() and not task.cancelled() and task.exception() is self:
            return True  # the outermost frame is the task's own, but it did not catch anything
        return traceback is None or traceback.tb_frame is not self._caller


class DeadlineExceeded(BaseException):
    """The invocation's time is up."""


class InvocationOver(BaseException):
    """The invocation that this thread or task belongs to has ended, so it gets no event loop any more."""
