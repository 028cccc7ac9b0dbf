"""A swarm in this process: an agency whose messages go through the queue, a worker, and what the store holds of it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from agency_swarm import Agency

from agency_lambda.approvals.deciders import Decider
from agency_lambda.approvals.model import Approval, pending_partition
from agency_lambda.history.conversations import Conversations
from agency_lambda.protocol.approvals import Decision
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.runs import worker
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.lease_changes import change_lease
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import Lease, response_partition
from agency_lambda.runs.service import RunService
from agency_lambda.runs.stored_responses import Responses
from tests.library.features.messages import Asked, Office, batches, to
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage, said

OWNER, SECONDS = "owner", 15.0


def chain(office: Office, *names: str, **last: Any) -> Any:
    """Each asks the next one. last: of the last one."""

    def create() -> Agency:
        agents = [office.agent(name, batches([to(other, "go")])) for name, other in itertools.pairwise(names)]
        agents.append(office.agent(names[-1], **last))
        return Agency(agents[0], communication_flows=[*itertools.pairwise(agents)])

    return create


def desk(office: Office, *answers: Any) -> Any:
    def create() -> Agency:
        boss = office.agent("Boss", batches(*answers))
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    return create


class Gate:
    """Lets nobody answer who is named, until it is opened."""

    def __init__(self, name: str) -> None:
        self.name, self.reached, self.opened = name, asyncio.Event(), asyncio.Event()

    async def __call__(self, asked: Asked) -> None:
        if asked.agent == self.name:
            self.reached.set()
            await self.opened.wait()


class Swarm:
    """Runs of the agency "desk"."""

    def __init__(self, runs: RunService) -> None:
        self.runs, self.store = runs, runs.store
        self.responses = Responses(runs.store, OWNER)

    async def begin(self, text: str = "go", **fields: Any) -> str:
        """Return the id of a new run in the background."""
        body = {"model": "desk", "input": text, "background": True, **fields}
        made = await self.runs.create(CreateResponse.model_validate(body), OWNER)
        return str(made.response["id"])

    async def ask(self, text: str = "go", **fields: Any) -> dict[str, Any]:
        """Return the response of a run in the foreground, as a client gets it."""
        made = await self.runs.create(CreateResponse.model_validate({"model": "desk", "input": text, **fields}), OWNER)
        assert isinstance(made, Attempt)
        return dict(await self.runs.answer(made))

    async def conversation(self) -> str:
        head = await Conversations(self.store, OWNER).load_to_extend("conv", create=True)
        await self.store.write(head.set_metadata({}))
        return head.id

    async def final(self, run_id: str, seconds: float = SECONDS) -> dict[str, Any]:
        end = time.monotonic() + seconds
        response: dict[str, Any] = {"status": "queued"}
        while response["status"] not in FINAL:  # one that waits for persons is over for clients before that
            assert time.monotonic() < end, await self.lease(run_id)
            await asyncio.sleep(0.02)
            response = (await self.responses.final(run_id, end - time.monotonic())).response
        return response

    async def run(self, **fields: Any) -> dict[str, Any]:
        return await self.final(await self.begin(**fields))

    async def rows(self, run_id: str, kind: str = "message") -> dict[str, Any]:
        after, before = f"journal/{kind}/", f"journal/{kind}0"
        found = await self.store.query(response_partition(OWNER, run_id), after=after, before=before)
        return {record.sort: record.body for record in found}

    async def children(self, run_id: str) -> list[str]:
        return [body["run"] for body in (await self.rows(run_id)).values() if "run" in body]

    async def statuses(self, run_id: str) -> list[str]:
        """Return the status of a run, and those of the runs below it."""
        found = [str((await self.responses.get(run_id)).response["status"])]
        for child in await self.children(run_id):
            found += await self.statuses(child)
        return found

    async def lease(self, run_id: str) -> Lease | None:
        return await Leases(self.store).find(run_id)

    async def pending(self) -> list[Approval]:
        return [Approval.from_record(record) for record in await self.store.query(pending_partition(OWNER))]

    async def asked(self) -> Approval:
        """Return the approval of the run as soon as there is one."""
        (approval,) = await until(self.pending)
        assert isinstance(approval, Approval)
        return approval

    async def approve(self, approval: Approval) -> None:
        await self.runs.decide(approval, Decision(approve=True), Decider(OWNER, "owner"))

    async def waits(self, run_id: str) -> Lease:
        """Return the lease of a run as soon as it waits."""

        async def waiting() -> Lease | None:
            lease = await self.lease(run_id)
            return lease if lease and lease.is_waiting else None

        lease = await until(waiting)
        assert isinstance(lease, Lease)
        return lease

    async def paid(self, run_id: str) -> int:
        """Return the number of model calls in a run's journal."""
        return len(await self.rows(run_id, "model"))

    async def interrupted(self, run_id: str) -> None:
        """Let another attempt take up a run, whose process has slept for too long."""
        lease = await self.lease(run_id)
        assert lease
        await self.store.write(*change_lease(lease, "requeue"))
        await self.runs.send(run_id, owner=OWNER)

    async def nothing_is_left(self) -> None:
        """No lease, open message or end that is to be told is left."""

        async def is_quiet() -> bool:
            leases = [*await self.runs.leases.all(), *await self.runs.leases.waiting()]
            return not (leases or await self.store.query("messages/ended") or await self.store.query("waiting/due"))

        await until(is_quiet)


async def until(look: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Return what `look` returns as soon as it is something."""
    end = time.monotonic() + seconds
    while not (found := await look()):
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def swarm(
    folder: Path, create: Callable[[], Agency], *, serves: bool = True, **named: Any
) -> AsyncIterator[Swarm]:
    """serves: with a worker, which is ended with it. named: settings."""
    service = settings(key=None, **{"store": f"sqlite:///{folder}/agency.db", "agent_messages": "queue", **named})
    async with on_stage(create, service) as runs:
        serving = [asyncio.create_task(worker.serve(runs, runs.queue, _not_exported))] if serves else []  # type: ignore[arg-type]
        try:
            yield Swarm(runs)
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)


async def _not_exported(store: Any, message: Any) -> None:
    raise AssertionError(message)


def words(response: dict[str, Any]) -> str:
    return said([item for item in response["output"] if item["type"] == "message"][-1])


def awaited(test: Callable[..., Any]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **named), 40))

    return run
