"""Who is answered with an end is told of one that stays: whatever the store, the processes and the clock do."""

import asyncio
import tempfile
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from agency_swarm import Agency, Agent, function_tool
from agents import Model, ModelResponse, Usage
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agency_lambda import catalogue
from agency_lambda.errors import ServiceError, StoreUnavailable
from agency_lambda.framework.context import current_run
from agency_lambda.framework.models.events import call_item, message_item
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.runs import heartbeat, worker
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.attempt_stream import AttemptStream
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.service import RunService
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import Conflict
from tests.library.models.agencies import settings as service_settings

TWO, WHICH = st.sampled_from([0, 1]), st.integers(0, 3)


class Process:
    """A service in a process of its own, as far as the store can tell. It may sleep, and the store may fail it."""

    def __init__(self, url: str) -> None:
        self.runs = RunService(service_settings(None, key=None, store=url))
        self.faults: list[str] = []  # of the next writes: "before" or "after" they take effect
        self.is_dead, self.is_away = False, False
        self.awake = asyncio.Event()
        self.awake.set()
        self._ask = {name: getattr(self.runs.store, name) for name in ("get", "query", "write")}
        for name in self._ask:
            setattr(self.runs.store, name, self._failing(name))

    def _failing(self, name: str) -> Any:
        async def ask(*arguments: Any, **more: Any) -> Any:
            await self.awake.wait()
            if self.is_dead or self.is_away:
                raise StoreUnavailable("The store is away.")
            fault = self.faults.pop(0) if name == "write" and self.faults else ""
            if fault == "before":
                raise StoreUnavailable("The store could not be written.")
            answer = await self._ask[name](*arguments, **more)
            if fault == "after":
                raise StoreUnavailable("Nobody knows whether it was written.")
            return answer

        return ask


class World:
    """Two processes, one store, and everything that they do and say."""

    def __init__(self, url: str) -> None:
        self.processes = [Process(url), Process(url)]
        self.gate = asyncio.Event()
        self.waiting = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.active: dict[str, Attempt] = {}
        self.known: dict[str, None] = {}  # ids that somebody was given, in their order
        self.acted: set[str] = set()  # ids that a model was asked for
        self.ends: dict[str, Any] = {}  # id -> what somebody was told that its end is
        self.violations: list[str] = []
        self.trace: list[Any] = []  # what happened, in order

    def agency(self) -> Agency:
        world = self

        class Recorded(Model):
            model = "recorded"

            async def get_response(self, instructions: Any, items: Any, *more: Any, **named: Any) -> ModelResponse:
                world.note("model")
                is_done = items[-1].get("type") == "function_call_output"
                item = message_item("Done.") if is_done else call_item("act", "{}")
                return ModelResponse(output=[item], usage=Usage(requests=1), response_id=None)

            async def stream_response(self, *arguments: Any, **named: Any) -> Any:
                from agency_lambda.framework.models.events import response, stream_events

                answer = await self.get_response(*arguments)
                for event in stream_events(response("recorded", answer.output, 1, 1)):
                    yield event

        @function_tool
        async def act() -> str:
            """Acts, and waits for the gate."""
            world.note("tool")
            world.waiting += 1
            try:
                await world.gate.wait()
            finally:
                world.waiting -= 1
            return "acted"

        return Agency(Agent(name="One", instructions="One.", model=Recorded(), tools=[act]))

    def note(self, what: str) -> None:
        run = current_run()
        assert run
        self.trace.append((what, run.response_id[-4:]))
        self.acted.add(run.response_id)
        if run.response_id in self.ends:
            self.violations.append(f"{what} after an end: {self.trace}")

    def told(self, response: dict[str, Any]) -> None:
        """Somebody is given a response."""
        self.trace.append((response["status"], response["id"][-4:]))
        self.known[response["id"]] = None
        if response["status"] in FINAL:
            before = self.ends.setdefault(response["id"], response)
            if isinstance(before, str) or before["status"] != response["status"]:
                self.violations.append(f"another end: {self.trace}")

    async def answer(self, process: Process, fields: dict[str, Any]) -> None:
        try:
            asked = CreateResponse.model_validate({"model": "desk", "input": "x", **fields})
            begun = await process.runs.create(asked, "owner")
        except StoreUnavailable:
            return  # nothing has begun, and its id is not known
        if isinstance(begun, StoredResponse):
            self.told(begun.response)
            return
        self.known[begun.response["id"]] = None
        self.active[begun.response["id"]] = begun
        await self.execute(process, begun)

    async def execute(self, process: Process, run: Attempt) -> None:
        if run.log.records_events:
            stream = AttemptStream(run, process.runs.execute(run))
            events = [event async for event in stream.events()]
            await stream.leave()
            if events and events[-1]["type"].removeprefix("response.") in FINAL:
                self.told(events[-1]["response"])
            return
        try:
            self.told(await process.runs.execute(run))
        except ServiceError as error:
            self.told({"id": run.response_id["id"], "status": "failed", "kind": error.kind})

    async def cancel(self, process: Process, run_id: str) -> None:
        with suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(0.5):
                self.told(await process.runs.cancel("owner", run_id))

    async def work(self, process: Process, run_id: str) -> None:
        with suppress(Exception):
            await worker.work(process.runs, run_id)
        await self.look(run_id)

    async def look(self, run_id: str) -> None:
        """Somebody asks for the response, where the store can be read."""
        with suppress(ServiceError):
            self.told((await Responses(self._plain(), "owner").get(run_id)).response)

    async def look_at_all(self) -> None:
        for run_id in list(self.known):
            await self.look(run_id)

    async def settle(self) -> None:
        """Wait until everything is done, or waits for the gate; or for a while, where something sleeps."""
        for _ in range(20):
            await asyncio.sleep(0.004)
            busy = sum(not task.done() for task in self.tasks)
            if busy <= self.waiting:
                return

    async def expire(self, run_id: str) -> None:
        """As if so much time had passed: an attempt that is awake, and looks, renews it."""
        store = self.processes[0]._ask
        lease = await Leases(self._plain()).find(run_id)
        if lease is not None and not lease.dead:
            with suppress(Conflict):  # it was renewed, or has ended, at this moment
                await store["write"](lease.put(until=1.0))
            self.trace.append(("expired", run_id[-4:]))
            await asyncio.sleep(0.05)

    def _plain(self) -> Any:
        return type("Plain", (), {name: staticmethod(ask) for name, ask in self.processes[0]._ask.items()})()

    async def finish(self) -> None:
        """Everybody wakes, the store is back, and whoever looks finds nothing that goes on."""
        self.gate.set()
        for process in self.processes:
            process.is_dead = process.is_away = False
            process.faults = []
            process.awake.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), 20)
        plain = self._plain()
        for _ in range(8):
            leases = [lease for lease in await Leases(plain).all() if not lease.dead]
            for lease in leases:
                await self.expire(lease.id)
                await self.work(self.processes[0], lease.id)
        assert [lease for lease in await Leases(plain).all() if not lease.dead] == []
        assert self.acted <= set(self.known), "a run that nobody was told of has acted"
        for run_id, end in self.ends.items():
            response = (await Responses(plain, "owner").get(run_id)).response
            assert response["status"] == end["status"]
            if "kind" in end:
                assert response["error"]["detail_code"] == end["kind"]
            else:
                assert response == end
        for process in self.processes:
            await process.runs.aclose()


class FinalAnswers(RuleBasedStateMachine):
    """Requests, workers and cancels, while stores fail, processes sleep and leases run out."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.seconds = {"FLUSH": heartbeat.FLUSH, "RENEW": heartbeat.RENEW}
        heartbeat.RENEW = 0.02
        self.factories = catalogue.factories
        self.world = self.do(self._made())
        catalogue.factories = lambda: {"desk": self.world.agency}  # type: ignore[assignment]

    async def _made(self) -> World:
        return World(f"sqlite:///{self.folder.name}/agency.db")

    def do[T](self, work: Awaitable[T]) -> T:
        async def whole() -> T:
            return await work

        return self.runner.run(whole())

    def begin(self, work: Awaitable[None]) -> None:
        self.world.trace.append(getattr(work, "__name__", work))

        async def whole() -> None:
            self.world.tasks.append(asyncio.ensure_future(work))
            await self.world.settle()

        self.do(whole())

    @initialize(background=st.booleans(), stream=st.booleans(), looks=st.booleans())
    def ask_first(self, background: bool, stream: bool, looks: bool) -> None:
        """looks: attempts look after their leases by themselves, and not only before they begin something."""
        heartbeat.FLUSH = 0.01 if looks else 60
        self.ask(0, background, stream, [])
        if background:
            self.work(0, self.run_id(0), False)

    @rule(
        number=TWO,
        background=st.booleans(),
        stream=st.booleans(),
        faults=st.lists(st.sampled_from(["", "before", "after"]), max_size=4),
    )
    def ask(self, number: int, background: bool, stream: bool, faults: list[str]) -> None:
        process = self.world.processes[number]
        process.faults = faults
        self.begin(self.world.answer(process, {"background": background, "stream": stream}))

    def run_id(self, which: int) -> str:
        known = list(self.world.known)
        return known[which % len(known)]

    def work(self, number: int, run_id: str, expire: bool) -> None:
        if expire:
            self.do(self.world.expire(run_id))
        self.begin(self.world.work(self.world.processes[number], run_id))

    @rule(number=TWO, which=WHICH, expire=st.booleans())
    def send_worker(self, number: int, which: int, expire: bool) -> None:
        self.work(number, self.run_id(which), expire)

    @rule(number=TWO, which=WHICH, ends=st.booleans(), cancels=st.booleans())
    def take_over_from_a_sleeper(self, number: int, which: int, ends: bool, cancels: bool) -> None:
        """One sleeps, and the other takes a run over, or ends it; then it wakes, or sleeps on."""
        run_id, sleeper = self.run_id(which), self.world.processes[number]
        sleeper.awake.clear()
        self.do(self.world.expire(run_id))
        if cancels:
            self.begin(self.world.cancel(self.world.processes[1 - number], run_id))
        else:
            self.work(1 - number, run_id, False)
        if ends:
            self.world.gate.set()
            self.do(self.world.settle())
            self.do(self.world.look_at_all())
            self.do(asyncio.sleep(0.05))
            sleeper.awake.set()
            self.do(self.world.settle())
            self.world.gate.clear()

    @rule(number=TWO, which=WHICH)
    def cancel(self, number: int, which: int) -> None:
        self.begin(self.world.cancel(self.world.processes[number], self.run_id(which)))

    @rule(which=WHICH)
    def end_time(self, which: int) -> None:
        run = self.world.active.get(self.run_id(which))

        async def stop() -> None:
            if run:
                run.stop("handed over")
            await self.world.settle()

        self.do(stop())

    @rule(number=TWO, faults=st.lists(st.sampled_from(["", "before", "after"]), min_size=1, max_size=3))
    def fail_writes(self, number: int, faults: list[str]) -> None:
        self.world.processes[number].faults = faults

    @rule(number=TWO)
    def take_store_away_or_bring_it_back(self, number: int) -> None:
        process = self.world.processes[number]
        process.is_away = not process.is_away
        self.do(self.world.settle())

    @rule(number=TWO)
    def fall_asleep_or_wake(self, number: int) -> None:
        awake = self.world.processes[number].awake
        awake.clear() if awake.is_set() else awake.set()
        self.do(asyncio.sleep(0.05))

    @rule()
    def open_or_close_gate(self) -> None:
        gate = self.world.gate
        gate.clear() if gate.is_set() else gate.set()
        self.do(self.world.settle())

    @rule()
    def look(self) -> None:
        self.do(self.world.look_at_all())

    @invariant()
    def nothing_begins_behind_an_end(self) -> None:
        assert self.world.violations == []

    def teardown(self) -> None:
        try:
            self.do(self.world.finish())
            assert self.world.violations == []
        finally:
            for name, seconds in self.seconds.items():
                setattr(heartbeat, name, seconds)
            catalogue.factories = self.factories
            self.runner.close()
            self.folder.cleanup()


TestFinalAnswers = FinalAnswers.TestCase
TestFinalAnswers.settings = settings(
    max_examples=18,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
