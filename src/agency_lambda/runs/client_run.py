"""A run as routes follow it, in whatever protocol and in whichever process it is executed."""

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING

from agency_lambda.errors import NotFound, StoreUnavailable
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.protocol.stream import resumable_events
from agency_lambda.protocol.types import Event
from agency_lambda.runs.attempt_stream import AttemptStream
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.outcome import raise_failed
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.time_left import seconds_to_wait

if TYPE_CHECKING:
    from agency_lambda.runs.attempt import Attempt
    from agency_lambda.runs.service import RunService

type Pad = Callable[[AsyncGenerator[Event]], AsyncGenerator[Event]]


class ClientRun:
    """A run whose client waits, in whatever protocol; another process may execute it.

    response: as it was when the request had begun. Await `answer`, or iterate over `events` and then await `leave`.
    """

    def __init__(self, runs: "RunService", owner: str, begun: "Attempt | StoredResponse") -> None:
        self._runs, self._owner, self._begun = runs, owner, begun
        self.response: ResponseObject = begun.response
        self.is_stored = isinstance(begun, StoredResponse)  # and so is executed elsewhere, or has ended
        self._until = time.monotonic() + runs.answer_seconds  # when an answer is due that is not streamed
        self._stream: AttemptStream | None = None

    async def answer(self) -> ResponseObject:
        """Return the response when it is final, or time is up. Raises ServiceError if it failed."""
        if isinstance(self._begun, StoredResponse):
            return await self._runs.wait_until_final(self._owner, self._begun)
        return await self._runs.answer(self._begun)

    def events(self, root_path: str = "", pad: Pad | None = None, after: int = -1) -> AsyncIterator[Event]:
        """Execute the run, and yield its events. If they end before it does, the last one has `resume`, a URL.

        pad: changes the events, before they are counted. after: the last one that the client of a stored run has.
        """
        if isinstance(self._begun, StoredResponse):
            events = Responses(self._runs.store, self._owner).events(self.response["id"], after)
            return resumable_events(pad(events) if pad else events, self.response, root_path, after)
        stream = self._stream = AttemptStream(self._begun, self._runs.execute(self._begun))
        events = pad(stream.events()) if pad else stream.events()
        return resumable_events(events, self.response, root_path, last_stored=stream.last_stored)

    async def continued(self, last_event: int | None = None) -> "ClientRun | None":
        """Return the run that goes on elsewhere, when no person has to decide first; None if that takes too long.

        For protocols whose clients cannot poll, such as Chat Completions. last_event: the number of the last event, if
        the client follows them.
        """
        responses = Responses(self._runs.store, self._owner)
        seconds = math.inf if last_event is not None else self._until - time.monotonic()
        if min(seconds, seconds_to_wait()) < 0:
            return None
        try:
            last = (await responses.last(self.response["id"])).response
            if last["id"] == self.response["id"] and last["status"] in FINAL:
                return None
            stored = await responses.decided(last["id"], seconds)
        except (NotFound, StoreUnavailable):
            return None
        if stored is None:
            return None
        after = -1 if last_event is None or last["id"] != self.response["id"] else last_event
        return ContinuedRun(self._runs, self._owner, stored, self._until, after)

    async def leave(self) -> None:
        """Release what `events` holds; a run that is not stored ends now."""
        if self._stream:
            await self._stream.leave()


class ContinuedRun(ClientRun):
    """A run that another process executes, behind event `after` of its response."""

    def __init__(self, runs: "RunService", owner: str, stored: StoredResponse, until: float, after: int) -> None:
        super().__init__(runs, owner, stored)
        self._until, self._after = until, after

    async def answer(self) -> ResponseObject:
        seconds = self._until - time.monotonic()
        stored = await Responses(self._runs.store, self._owner).final(self.response["id"], seconds)
        return raise_failed(await self._runs.shown(self._owner, stored))

    def events(self, root_path: str = "", pad: Pad | None = None, after: int = -1) -> AsyncIterator[Event]:
        return super().events(root_path, pad, max(after, self._after))
