"""One request of MCP, and the run that it is about."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from agency_lambda.approvals.deciders import Client
from agency_lambda.approvals.model import Approval
from agency_lambda.errors import NotFound
from agency_lambda.protocol.mcp.messages import Object, Request
from agency_lambda.protocol.mcp.peer import Peer
from agency_lambda.protocol.mcp.results import Files, Result, call_result, final_result
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.routes.dependencies import Caller
from agency_lambda.runs.model import StoredResponse
from agency_lambda.settings import get_settings

_LONGEST = 300  # characters of arguments in the text of a result


@dataclass
class Exchange:
    """A request, and what is sent to its client before the result.

    accepts_stream: the client takes a stream. is_live: messages reach it at once, and not with the result.
    run_id: the run that ends if the client leaves. only_waits: for a run that others have begun.
    """

    caller: Caller
    peer: Peer
    request: Request
    files: Files
    accepts_stream: bool
    is_live: bool
    idempotency_key: str | None = None
    run_id: str | None = None
    only_waits: bool = False
    outgoing: asyncio.Queue[Object] = field(default_factory=asyncio.Queue)

    def result(self, state: "RunState") -> Result:
        """Return how a run has ended, or what it waits for."""
        if state.is_over:
            return final_result(state.response, self.files)
        return call_result(state.response, self.files, state.asked)

    def send(self, message: Object) -> None:
        self.outgoing.put_nowait(message)

    async def state(self, response_id: str) -> "RunState":
        """Return where the run of a response stands. Raises NotFound."""
        first = await self.caller.responses.get(response_id)
        if first.sending:  # of a run that the client has not asked for
            raise NotFound(f"Response with id {response_id[:99]!r} not found.")
        return await self._state(await self.caller.responses.last(response_id) if first.continued_by else first)

    async def wait(self, state: "RunState") -> "RunState":
        """Return where a run stands when it is over, waits for a person, or ANSWER_SECONDS have passed."""
        if state.is_over:
            return state
        stored = await self.caller.responses.final(state.response["id"], get_settings().answer_seconds)
        if stored.continued_by:
            return await self.state(stored.continued_by)
        return await self._state(stored)

    async def _state(self, stored: StoredResponse) -> "RunState":
        approvals = await self.caller.undecided(stored) if stored.response["status"] not in FINAL else []
        return RunState(stored.response, approvals, self.caller.client)


@dataclass(frozen=True)
class RunState:
    """Where a run stands. response: the last of those that continue what was asked for. client: who looks at it."""

    response: ResponseObject
    approvals: Sequence[Approval]
    client: Client

    @property
    def is_over(self) -> bool:
        return self.response["status"] in FINAL

    @property
    def asked(self) -> list[str]:
        """Return in words what persons are asked."""
        return [
            each.request.sentence(shows_content=self.client.may_decide(each), longest=_LONGEST)
            for each in self.approvals
        ]

    @property
    def decidable(self) -> list[Approval]:
        return [each for each in self.approvals if self.client.may_decide(each)]
