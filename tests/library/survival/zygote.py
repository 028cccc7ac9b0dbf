"""Attempts at runs, each in a process of its own that is forked from this one, and that dies where it is told to.

A script: it reads commands from stdin, one JSON object a line, and answers each with one line.
    {"do": "start", "request": {...} or "run": ID or "cancel": ID or "delete": ID or "decide": ID or "sweep": True,
     "at": N, "settle": bool,
     "how": "exit", "kill" or "stop", "writes": bool, "log": PATH}   -> {"pid": ...}
    {"do": "wait", "pid": ...}  -> {"exited": code} or {"stopped": true}

A process notes in its log every point that it passes; at the N-th it dies without a word, or stops (SIGSTOP).
writes: the points are before and behind every write into the store.
settle: and lets what goes on beside it go on for a moment before, so that events are kept.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from typing import Any

import agencies
from agency_lambda.approvals import queries
from agency_lambda.approvals.deciders import Decider
from agency_lambda.approvals.model import Approval
from agency_lambda.errors import ServiceError
from agency_lambda.framework import open_calls
from agency_lambda.framework.models import MeteredModel
from agency_lambda.protocol.approvals import Decision
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.queue.local import LocalQueue
from agency_lambda.queue.messages import Message
from agency_lambda.runs import heartbeat, worker
from agency_lambda.runs.attempt import Attempt as RunAttempt
from agency_lambda.runs.journal import Journal
from agency_lambda.runs.journal_store import JournalStore
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.service import RunService
from agency_lambda.settings import Settings
from agency_lambda.store import Change, Store
from agency_lambda.store.dynamodb import DynamoDBStore
from agency_lambda.store.sqlite import SQLiteStore
from tests.library.survival import asking, desk

_writing = threading.RLock()


class Attempt:
    """One process's work."""

    def __init__(self, command: dict[str, Any]) -> None:
        self._command, self._passed = command, 0
        self._log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, **facts: Any) -> None:
        os.write(self._log, json.dumps(facts).encode() + b"\n")

    async def point(self, name: str) -> None:
        self._passed += 1
        self.note(point=name)
        if self._passed != self._command.get("at"):
            return
        if self._command.get("settle"):
            await asyncio.sleep(0.06)
        if self._command.get("how") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._command.get("how") == "stop":
            with _writing:  # whoever is stopped with SQLite's lock in its hands stops all others too
                os.kill(os.getpid(), signal.SIGSTOP)
        else:
            os._exit(9)

    async def work(self, settings: Settings | None = None) -> None:
        runs = RunService(settings or Settings())
        try:
            if cancelled := self._command.get("cancel"):
                self.note(outcome=(await runs.cancel("owner", cancelled))["status"])
                return
            if deleted := self._command.get("delete"):
                await runs.delete("owner", deleted)
                self.note(outcome="deleted")
                return
            if "sweep" in self._command:
                await worker.sweep(runs)
                self.note(outcome="swept")
                return
            if approval := self._command.get("decide"):
                pending = await queries.find(runs.store, "owner", approval)
                if isinstance(pending, Approval):
                    await runs.decide(pending, Decision(approve=True), Decider("owner", "owner"))
                self.note(outcome="decided")
                return
            begun = await self._begin(runs)
            if begun is not None:
                response = await runs.execute(begun)
                self.note(outcome="lost" if begun.stopped == "lost" else response["status"])
        except ServiceError as error:
            self.note(outcome=error.kind)
        finally:
            await runs.aclose()

    async def _begin(self, runs: RunService) -> RunAttempt | None:
        if asked := self._command.get("request"):
            begun = await runs.create(CreateResponse.model_validate(asked), "owner")
            self.note(run=begun.response["id"])
            if isinstance(begun, RunAttempt):
                return begun
            self.note(outcome="queued")
            return None
        resumed = await runs.resume(self._command["run"])
        if resumed is None:
            self.note(outcome="nothing")
        return resumed

    def watch(self) -> None:
        """Put the points where they belong."""
        into_file = SQLiteStore._write

        def _into_file(store: SQLiteStore, *arguments: Any, **options: Any) -> None:
            with _writing:
                into_file(store, *arguments, **options)

        SQLiteStore._write = _into_file  # type: ignore[method-assign]
        if self._command.get("writes"):
            self._watch_writes()
        else:
            self._watch_steps()
        desk.point = self.point

    def _watch_writes(self) -> None:
        heartbeat.FLUSH = 0.2
        for kind in (SQLiteStore, DynamoDBStore):
            self._watch_store(kind)

    def _watch_store(self, kind: type[Store]) -> None:
        write = kind.write

        async def _write(store: Any, *changes: Change) -> None:
            rows = ", ".join(sorted({change.sort.rpartition("/")[0] or change.partition for change in changes}))
            await self.point(f"{rows} is to be written")
            await write(store, *changes)
            await self.point(f"{rows} is written")

        kind.write = _write  # type: ignore[method-assign]

    def _watch_steps(self) -> None:
        load, add, asked = Journal.load, JournalStore.add, MeteredModel._ask
        end, send = RunRepository.end, LocalQueue.send

        async def _load(journal: Journal) -> None:
            await load(journal)
            self.note(loaded=[*journal._rows])

        async def _add(journal: JournalStore, key: str, body: dict[str, Any], *more: Any) -> dict[str, Any]:
            if "asked" in body:
                return await add(journal, key, body, *more)
            kind = key.partition("/")[0]
            await self.point(f"{kind} is to be kept")
            kept = await add(journal, key, body, *more)
            await self.point(f"{kind} is kept")
            return kept

        async def _asked(model: MeteredModel, *args: Any, **kwargs: Any) -> Any:
            await self.point("model is to be asked")
            answered = await asked(model, *args, **kwargs)
            await self.point("model has answered")
            return answered

        async def _end(repository: RunRepository, *args: Any) -> str | None:
            await self.point("end is to be kept")
            following = await end(repository, *args)
            self.note(ended=True)
            await self.point("end is kept")
            return following

        async def _send(queue: LocalQueue, sent: Message, after: float = 0.0, *, owner: str = "") -> None:
            if isinstance(sent, str):
                self.note(sent=sent)
            await send(queue, sent, after, owner=owner)

        Journal.load, JournalStore.add, MeteredModel._ask = _load, _add, _asked  # type: ignore[method-assign]
        RunRepository.end, LocalQueue.send = _end, _send  # type: ignore[method-assign]


def warm_up() -> None:
    """One run here, for all that is imported on the way; a second of CPU that no other process has to spend."""
    whole = Attempt({"request": {"model": "desk", "input": "warm up", "stream": True}, "log": os.devnull})
    asyncio.run(whole.work(Settings(store="sqlite:///:memory:")))
    gc.collect()  # the store's threads end with it
    for thread in threading.enumerate()[1:]:
        thread.join(5)
    assert threading.active_count() == 1, "a fork would copy a lock that nobody opens again"
    gc.freeze()


def main() -> None:
    agencies.AGENCIES = {name: f"tests.library.survival.{name}:{name}" for name in ("desk", "asking", "swarm")}
    heartbeat.FLUSH, heartbeat.RENEW, open_calls._PAUSE = 0.02, 0.1, 0.02
    warm_up()
    asking.asking()
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "wait":
            _, status = os.waitpid(command["pid"], os.WUNTRACED)
            stopped = os.WIFSTOPPED(status)
            answer = {"stopped": True} if stopped else {"exited": os.waitstatus_to_exitcode(status)}
        elif pid := os.fork():
            answer = {"pid": pid}
        else:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # log lines are no answers of this process
            os.environ["OPENAI_API_KEY"] = os.path.basename(command["log"])  # the model server knows who asks
            making = Attempt(command)
            making.watch()
            code = 1
            try:
                asyncio.run(asyncio.wait_for(making.work(), 30))
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(json.dumps(answer), flush=True)


main()
