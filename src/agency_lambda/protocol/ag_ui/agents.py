"""Which agents are at work: a step each, and a subagent for each colleague."""

from collections.abc import Iterator
from itertools import count

from agency_lambda.protocol.types import Event, Item


class AgentEvents:
    """Tells which agents work. is_current: whether the client speaks AG-UI 1.0, which has subagents."""

    def __init__(self, *, is_current: bool) -> None:
        self._is_current = is_current
        self._speaker: str | None = None  # who has the conversation
        self._steps: dict[str, str] = {}  # the id of what opened a step -> its name
        self._subagents: set[str] = set()  # those announced
        self._unfinished: list[str] = []  # those whose work was interrupted; only the end of the run says why

    def speaks(self, item: Item) -> Iterator[Event]:
        """Begin a step if another agent has the conversation."""
        if item.get("parent") is None and item["agent"] != self._speaker:
            yield from self._end_step("speaker")
            self._speaker = item["agent"]
            yield self._start_step("speaker", item["agent"])

    def asks(self, item: Item) -> Iterator[Event]:
        if "recipient" not in item:
            return
        yield self._start_step(item["id"], item["recipient"])
        if self._is_current:
            parent = {"parentSubagentRunId": item["parent"]} if item.get("parent") in self._subagents else {}
            self._subagents.add(item["id"])
            yield {"type": "SUBAGENT_STARTED", "subagentRunId": item["id"], "name": item["recipient"], **parent}

    def answered(self, item: Item) -> Iterator[Event]:
        yield from self._end_step(item["id"])
        if item["id"] not in self._subagents:
            return
        if item["status"] == "completed":
            yield {"type": "SUBAGENT_FINISHED", "subagentRunId": item["id"]}
        else:
            self._unfinished.append(item["id"])

    def finish(self, *, is_interrupted: bool) -> Iterator[Event]:
        for subagent in self._unfinished:
            if is_interrupted:
                outcome = {"outcome": {"type": "suspended"}}
                yield {"type": "SUBAGENT_FINISHED", "subagentRunId": subagent, **outcome}
            else:
                yield {"type": "SUBAGENT_ERROR", "subagentRunId": subagent, "message": "It was interrupted."}
        self._unfinished.clear()
        for opener in list(self._steps):
            yield from self._end_step(opener)
        self._speaker = None

    def _start_step(self, opener: str, agent: str) -> Event:
        names = (agent if number == 1 else f"{agent} ({number})" for number in count(1))
        self._steps[opener] = next(name for name in names if name not in self._steps.values())
        return {"type": "STEP_STARTED", "stepName": self._steps[opener]}

    def _end_step(self, opener: str) -> Iterator[Event]:
        if name := self._steps.pop(opener, None):
            yield {"type": "STEP_FINISHED", "stepName": name}
