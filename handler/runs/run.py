"""One run: the agents answer, and what they said is kept, all of it or none."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from handler.errors import INTERNAL, Interrupted, ServiceError
from handler.event_loop import DeadlineExceeded, current
from handler.models import Meter
from handler.protocol.output import Event, Item, Output
from handler.protocol.resource import Resource
from handler.records import Conversation, Conversations, Place, Responses, Turn, busy
from handler.runs.answer import Answer, Desk, writable
from handler.runs.feed import Feed
from handler.store import Change, Conflict, Put, Store

logger = logging.getLogger(__name__)
_FLUSH = 0.5  # seconds between writes of events
_RENEW = 10.0  # seconds between renewals of a conversation; a third of the lease
_ATTEMPTS = 5  # at the last write, against others who write to the same records


@dataclass
class Keeping:
    """Where a stored run is kept: its own record, and the log or the conversation that it adds a turn to."""

    store: Store
    responses: Responses
    conversations: Conversations
    begun: Put
    place: Place
    conversation: Conversation | None


class Run:
    """A run that has begun. keeping: None for a run that is not stored."""

    def __init__(self, response: Resource, given: list[Item], live: bool, keeping: Keeping | None) -> None:
        self.response, self.given, self.live = response, given, live
        self.meter = Meter()
        self.feed = Feed()
        self.output = Output(self.feed.emit if live else lambda kind, **fields: None)
        self.answer: Answer | None = None
        self.desk: Desk | None = None
        self._keeping = keeping
        self._task: asyncio.Task[Resource] | None = None
        self._writing = asyncio.Lock()  # what is kept while the agents work is never kept over the end

    async def execute(self) -> Resource:
        """Run to the end; returns the response when it is kept.

        Raises:
            ServiceError: the run failed; its response says so too.
        """
        if self.live:
            for kind in ("response.created", "response.in_progress"):
                self.feed.emit(kind, response=dict(self.response))
        keeper = asyncio.create_task(self._keep()) if self._keeping else None
        started = time.monotonic()
        try:
            error = await self._answer()
            return await self._conclude(error)
        finally:
            if keeper:
                keeper.cancel()
            self.feed.end()
            _note(run_duration_ms=round(1000 * (time.monotonic() - started), 1), **asdict(self.meter))

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

    async def _answer(self) -> ServiceError | None:
        assert self.desk
        try:
            self.answer = await self.desk.answer()
        except ServiceError as error:
            return error
        except (asyncio.CancelledError, DeadlineExceeded):
            await self._conclude(Interrupted("The run was interrupted."), quietly=True)
            raise
        except Exception:
            logger.exception("run %s failed", self.response["id"])
            await self._conclude(ServiceError(INTERNAL), quietly=True)
            raise
        return None

    async def _conclude(self, error: ServiceError | None, *, quietly: bool = False) -> Resource:
        self.output.close()
        cut = self.answer is not None and self.answer.cut
        status = "failed" if error else "incomplete" if cut else "completed"
        self.response |= {
            "status": status,
            "output": writable(self.output.items),
            "usage": usage(self.meter),
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": {"code": error.kind, "message": str(error)} if error else None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut and not error else None,
        }
        try:
            await self._save(error)
        except ServiceError as failure:
            if quietly or error:
                logger.exception("run %s: its end could not be kept", self.response["id"])
            error = error or failure
            self.response |= {"status": "failed", "error": {"code": error.kind, "message": str(error)}}
            self._end(f"response.{self.response['status']}")
        if error and not quietly:
            raise error
        return self.response

    async def _save(self, error: ServiceError | None) -> None:
        last = {"type": f"response.{self.response['status']}", "sequence_number": len(self.feed.events)}
        last |= {"response": dict(self.response)}
        if self._keeping:
            async with self._writing:
                await self._write(error, last)
        self._end(str(last["type"]))

    async def _write(self, error: ServiceError | None, last: Event) -> None:
        assert self._keeping
        for _ in range(_ATTEMPTS):
            try:
                unkept = [*self.feed.unkept(), last] if self.live else []
                return await self._keeping.store.write(*self._changes(error, unkept))
            except Conflict:
                await self._make_way()
        raise busy()

    def _end(self, kind: str) -> None:
        if self.live:
            self.feed.emit(kind, response=dict(self.response))

    def _changes(self, error: ServiceError | None, events: list[Event]) -> list[Change]:
        """Everything that this run leaves behind."""
        keeping = self._keeping
        assert keeping
        added = (
            None if error or self.answer is None else Turn([*self.given, *self.response["output"]], self.answer.history)
        )
        place = keeping.place.next if added else None
        changes: list[Change] = [
            keeping.responses.put(self.response, self.given, place, self.live, keeping.begun.version)
        ]
        if keeping.conversation:
            held = keeping.conversation
            changes += held.appended(added) if added else [held.released()]
        elif added:
            changes.append(added.put(keeping.place, keeping.begun.expires))
        return [*changes, keeping.responses.put_events(self.response["id"], events)] if events else changes

    async def _make_way(self) -> None:
        """Somebody else has written meanwhile: is there still a place for this run?"""
        keeping = self._keeping
        assert keeping
        kept = await keeping.responses.get(self.response["id"])
        keeping.begun = replace(keeping.begun, version=kept.version)
        if keeping.conversation:
            keeping.conversation = await keeping.conversations.renew(keeping.conversation)
        else:
            keeping.place = keeping.place.branch(keeping.responses.log(self.response["id"]))

    async def _keep(self) -> None:
        """While the agents work: keep the events, and the conversation."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(_FLUSH)
            try:
                async with self._writing:
                    await self._flush()
                if time.monotonic() - renewed > _RENEW:
                    await self._renew()
                    renewed = time.monotonic()
            except (ServiceError, Conflict):
                logger.exception("run %s: could not be kept so far", self.response["id"])

    async def _flush(self) -> None:
        events = self.feed.unkept()
        if events and self._keeping:
            await self._keeping.store.write(self._keeping.responses.put_events(self.response["id"], events))
            self.feed.kept(len(events))

    async def _renew(self) -> None:
        keeping = self._keeping
        if keeping and keeping.conversation:
            async with self._writing:
                keeping.conversation = await keeping.conversations.renew(keeping.conversation)


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


def _note(**facts: Any) -> None:
    """For the log line and the metrics of this invocation."""
    if invocation := current.get():
        invocation.ledger.facts.update(facts)
