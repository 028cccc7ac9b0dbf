"""One run: the agents answer, and what they said is kept, all of it or none."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from handler.errors import INTERNAL, Interrupted, ServiceError
from handler.event_loop import DeadlineExceeded, current
from handler.models import Meter
from handler.protocol.output import Event, Output
from handler.protocol.resource import Resource
from handler.runs.answer import Answer, Desk, writable
from handler.runs.feed import Feed
from handler.runs.keeping import Keeping
from handler.store import Conflict

logger = logging.getLogger(__name__)
_FLUSH = 0.5  # seconds between writes of events
_RENEW = 10.0  # seconds between renewals of a conversation; a third of the lease


class Run:
    """A run that has begun. live: its events are wanted. keeping: None for a run that is not stored."""

    desk: Desk

    def __init__(self, response: Resource, live: bool, keeping: Keeping | None) -> None:
        self.response, self.live, self._keeping = response, live, keeping
        self.meter, self.feed = Meter(), Feed()
        self.output = Output(self.feed.emit if live else _to_nobody, response["id"])
        self._task: asyncio.Task[Resource] | None = None

    async def execute(self) -> Resource:
        """Run to the end; returns the response when it is kept.

        Raises:
            ServiceError: the run failed; its response says so too.
        """
        self._tell("response.created")
        self._tell("response.in_progress")
        keeper = asyncio.create_task(self._keep(self._keeping)) if self._keeping else None
        started = time.monotonic()
        try:
            return await self._answer()
        finally:
            if keeper:
                keeper.cancel()
            self.feed.end()
            took = round(1000 * (time.monotonic() - started), 1)
            _note(response_id=self.response["id"], run_duration_ms=took, **asdict(self.meter))

    def follow(self) -> AsyncIterator[Event]:
        """Begin at once, whoever listens, and tell every event as it comes; how it ended, the last one says."""
        self._task = asyncio.create_task(self.execute())
        return self.feed.follow()

    async def leave(self) -> None:
        """Nobody listens any more: what is stored is finished, anything else is cancelled."""
        assert self._task
        if self._keeping is None:
            self._task.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await self._task

    async def _answer(self) -> Resource:
        try:
            answer = await self.desk.answer()
        except ServiceError as error:
            await self._fail(error)
            raise
        except (asyncio.CancelledError, DeadlineExceeded):
            await self._fail(Interrupted("The run was interrupted."))
            raise
        except Exception:
            logger.exception("run %s failed", self.response["id"])
            await self._fail(ServiceError(INTERNAL))
            raise
        try:
            await self._end("incomplete" if answer.cut else "completed", answer)
        except ServiceError as error:  # done, but not kept, and so not done
            await self._fail(error)
            raise
        return self.response

    async def _fail(self, error: ServiceError) -> None:
        try:
            await self._end("failed", error=error)
        except ServiceError:
            logger.exception("run %s: its failure could not be kept", self.response["id"])
            self._tell("response.failed")

    async def _end(self, status: str, answer: Answer | None = None, error: ServiceError | None = None) -> None:
        """The last event is told when the store has it: whoever knows of it may continue from it."""
        self.output.close()
        self.response |= {
            "status": status,
            "output": writable(self.output.items),
            "usage": usage(self.meter),
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": {"code": error.kind, "message": str(error)} if error else None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        }
        if self._keeping:
            last = self.feed.next(f"response.{status}", response=dict(self.response))
            events = [*self.feed.unkept(), last] if self.live else []
            await self._keeping.end(self.response, answer.history if answer else None, events)
        self._tell(f"response.{status}")

    def _tell(self, kind: str) -> None:
        if self.live:
            self.feed.emit(kind, response=dict(self.response))

    async def _keep(self, keeping: Keeping) -> None:
        """While the agents work: keep the events, and the conversation."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(_FLUSH)
            try:
                if events := self.feed.unkept():
                    await keeping.events(events)
                    self.feed.kept(len(events))
                if time.monotonic() - renewed > _RENEW:
                    await keeping.renew()
                    renewed = time.monotonic()
            except (ServiceError, Conflict):
                logger.exception("run %s: could not be kept so far", self.response["id"])


def usage(meter: Meter) -> dict[str, Any]:
    """Of every model call of every agent."""
    return {
        "model_calls": meter.model_calls,
        "input_tokens": meter.input_tokens,
        "input_tokens_details": {"cached_tokens": meter.cached_tokens},
        "output_tokens": meter.output_tokens,
        "output_tokens_details": {"reasoning_tokens": meter.reasoning_tokens},
        "total_tokens": meter.total_tokens,
    }


def _to_nobody(kind: str, **fields: Any) -> None:
    """Nobody wants the events of an answer that is sent whole."""


def _note(**facts: Any) -> None:
    """For the log line and the metrics of this invocation."""
    if invocation := current.get():
        invocation.ledger.facts.update(facts)
