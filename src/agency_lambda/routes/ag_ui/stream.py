"""Follows a run as events of AG-UI."""

from collections.abc import AsyncIterator
from typing import Any

from agency_lambda.approvals.model import Approval
from agency_lambda.errors import ServiceError
from agency_lambda.protocol.ag_ui.events import RunEvents
from agency_lambda.protocol.ag_ui.interrupts import interrupt
from agency_lambda.protocol.ag_ui.request import RunInput
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.protocol.types import Event
from agency_lambda.routes.dependencies import Caller
from agency_lambda.runs.client_run import ClientRun
from agency_lambda.runs.model import StoredResponse


class RunStream:
    """The events of a run, for one client."""

    def __init__(self, run: ClientRun, body: RunInput, caller: Caller) -> None:
        self._run, self._caller = run, caller
        self._events = RunEvents(body, run.response["id"])

    async def events(self) -> AsyncIterator[Event]:
        for event in self._events.start():
            yield event
        try:
            async for event in self._translated():
                yield event
        except ServiceError as error:
            yield {"type": "RUN_ERROR", "message": str(error), "code": error.kind}

    async def leave(self) -> None:
        await self._run.leave()

    async def _translated(self) -> AsyncIterator[Event]:
        last: Event | None = None
        async for event in self._run.events(self._caller.root_path):
            if "resume" in event or event["type"].removeprefix("response.") in FINAL:
                last = event
                continue
            for translated in self._events.translate(event):
                yield translated
        assert last
        if follower := await self._follower(last):
            await self.leave()
            self._run = self._caller.follow(follower)
            for translated in self._events.follow(follower.response["id"]):
                yield translated
            async for translated in self._translated():
                yield translated
            return
        for translated in await self._end(last):
            yield translated

    async def _follower(self, last: Event) -> StoredResponse | None:
        """Return the response that goes on, if all approvals are decided."""
        if "resume" in last or not self._events.asked:
            return None
        stored = await self._caller.responses.get(last["response"]["id"])
        if stored.continued_by is None or await self._open(stored.continued_by):
            return None
        return await self._caller.responses.get(stored.continued_by)

    async def _end(self, last: Event) -> list[Event]:
        response = last["response"]
        asks = "resume" in last or self._events.asked
        interrupts = [self._interrupt(each) for each in await self._open(response["id"])] if asks else []
        if "resume" not in last:
            return list(self._events.finish(response, interrupts))
        return list(self._events.interrupt(interrupts)) if interrupts else [self._events.break_off(last["resume"])]

    async def _open(self, response_id: str) -> list[Approval]:
        return await self._caller.undecided(await self._caller.responses.last(response_id))

    def _interrupt(self, approval: Approval) -> dict[str, Any]:
        shown_in = approval.root_response_id or approval.response_id
        decides = self._caller.client.may_decide(approval)
        return interrupt(approval.id, approval.request, shown_in, approval.expires_at, may_decide=decides)
