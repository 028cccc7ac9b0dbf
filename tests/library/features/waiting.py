"""A stored run in several attempts, with what persons decide between them."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from functools import wraps
from typing import Any

from agency_swarm import Agency

from agency_lambda.catalogue.entries import Entry
from agency_lambda.framework.execution import AgencyResult
from agency_lambda.framework.models import Models
from agency_lambda.framework.prepare import prepare_run
from agency_lambda.framework.run_input import GetTransport, RunInput
from agency_lambda.history import UniqueIds
from agency_lambda.protocol.approvals import ApprovalRequest, Decision
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import new_response
from agency_lambda.runs.journal import Journal
from agency_lambda.runs.model import response_partition
from agency_lambda.store import Put, Store
from tests.library.models.agencies import settings

Stored = Callable[..., "StoredRun"]
APPROVED, REFUSED = Decision(approve=True), Decision(approve=False)


def _no_files() -> Any:
    raise AssertionError("no file is asked for")


@dataclass
class StoredRun:
    """attempt(): one attempt, as a worker makes it. events, asked (keys of calls): of the last one."""

    create_agency: Callable[[], Agency]
    store: Store
    input: str = "Order paper"
    fields: dict[str, Any] = field(default_factory=dict)
    models: Models = field(default_factory=lambda: Models(settings(key=None)))
    history: list[dict[str, Any]] = field(default_factory=list)
    output: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    send: Any = field(default_factory=lambda: _sent)
    transport: GetTransport | None = None

    async def add_row(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add a row to the journal, as another run does."""
        await self.store.write(Put(response_partition("owner", "resp_1"), f"journal/{key}", body, None))
        return body

    async def attempt(self) -> AgencyResult:
        request = CreateResponse.model_validate({"model": "desk", "input": self.input, "store": True, **self.fields})
        response = new_response(request, "resp_1", None)
        journal = Journal(self.store, "owner", "resp_1", UniqueIds(self.history), asked=self.asked)
        await journal.load()
        output = OutputBuilder(self._emit, "resp_1")
        output.restore([*self.events], journal.ids)
        run_input = RunInput(
            request=request,
            response=response,
            root=response["id"],
            asked_in=response["id"],
            recalled=len(self.history),
            owner="owner",
            history=[*self.history],
            new_input=[{"role": "user", "content": self.input}],
            output=output,
            journal=journal,
            open_files=_no_files,
            transport=self.transport,
        )
        execution = await prepare_run("desk", Entry(create_agency=self.create_agency), self.models, run_input)
        self.meter = execution.meter
        try:
            result = await execution.run(_authorized, self.send)
        finally:
            self.output = output.items
        self.asked = [each.key for each in result.asked]
        return result

    async def decide(self, asked: ApprovalRequest, decision: Decision = APPROVED) -> None:
        partition = response_partition("owner", "resp_1")
        await self.store.write(Put(partition, f"journal/decision/{asked.key}", asdict(decision), None))

    async def to_end(self, decide: Callable[[ApprovalRequest], Decision] = lambda asked: APPROVED) -> AgencyResult:
        """Attempts until nobody is asked any more."""
        while (result := await asyncio.wait_for(self.attempt(), 20)).asked:
            for asked in result.asked:
                await self.decide(asked, decide(asked))
        return result

    def _emit(self, kind: str, **event: Any) -> None:
        self.events.append({"type": kind, **event})


async def _authorized() -> None:
    pass


async def _sent(message: Any, memory: Any, shared: Any) -> Any:
    raise AssertionError("a message was queued")


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a coroutine function a test."""

    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **named), 30))

    return run
