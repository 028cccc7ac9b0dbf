"""A client of AG-UI: it verifies a stream as `@ag-ui/client` does, and keeps the messages that it makes."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from ag_ui.core import Event
from pydantic import TypeAdapter

from agency_lambda.testing.events import Context, http_event
from agency_lambda.testing.service import Service

EVENT: TypeAdapter[Any] = TypeAdapter(Event)
_NUMBERS = count(1)
_PAIRS = {"TEXT_MESSAGE": "messageId", "REASONING_MESSAGE": "messageId", "TOOL_CALL": "toolCallId"}
_SPANS = {"STEP": "stepName", "SUBAGENT": "subagentRunId"}


class Refused(Exception):
    """status, error: of the answer."""

    def __init__(self, status: int, error: Any) -> None:
        super().__init__(f"{status}: {error}")
        self.status, self.error = status, error


class AgUi:
    """One thread. messages: as the client would send them next. version: that it declares; None for an old client."""

    def __init__(self, service: Service, path: str = "letters", *, version: str | None = "1.0", **headers: str) -> None:
        self.service, self.path, self.headers = service, path, headers
        self.thread = f"thread-{next(_NUMBERS)}"
        self.version = {"protocolVersion": version} if version else {}
        self.messages: list[dict[str, Any]] = []
        self.interrupts: list[dict[str, Any]] = []
        self.fields: dict[str, Any] = {}
        self.seconds = 60.0  # of an invocation
        self.run_id = ""

    def say(self, content: Any, **fields: Any) -> list[dict[str, Any]]:
        self.messages.append({"id": f"u{next(_NUMBERS)}", "role": "user", "content": content})
        return self.run(**fields)

    def run(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the events of a run, which are applied. Raises Refused."""
        self.run_id = fields.pop("runId", f"run-{next(_NUMBERS)}")
        body = {"threadId": self.thread, "runId": self.run_id, **self.version, "messages": self.messages}
        event = http_event("POST", f"/ag-ui/{self.path}", {**body, **self.fields, **fields}, **self.headers)
        answer = self.service.handler(event, Context(self.seconds))
        if answer["statusCode"] != 200:
            raise Refused(answer["statusCode"], json.loads(answer["body"])["error"])
        *chunks, rest = answer["body"].split("\n\n")
        assert rest == ""
        events = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks if not chunk.startswith(":")]
        self.apply(events)
        return events

    def resume(self, *answers: Any, **fields: Any) -> list[dict[str, Any]]:
        """Answer the interrupts in their order. answers: payloads; None cancels."""
        entries = [_entry(each["id"], answer) for each, answer in zip(self.interrupts, answers, strict=False)]
        return self.run(resume=entries, **fields)

    @property
    def response_id(self) -> str:
        """Return the response of the last run."""
        return str(self.started["metadata"]["response_id"])

    def apply(self, events: list[dict[str, Any]]) -> None:
        """Verify the sequence, and change the messages."""
        self.started, self.last = events[0], events[-1]
        ids = (self.thread, self.run_id)
        assert events[0]["type"] == "RUN_STARTED"
        assert (events[0]["threadId"], events[0]["runId"]) == ids
        opened: set[tuple[str, str]] = set()
        for event in events:
            EVENT.validate_python(event)
            _check_order(event, opened)
            self._changes.get(event["type"], lambda event: None)(event)
        assert self.last["type"] in ("RUN_FINISHED", "RUN_ERROR")
        outcome = self.last.get("outcome", {})
        self.interrupts = outcome.get("interrupts", [])
        if self.last["type"] == "RUN_FINISHED":
            assert not opened
            assert (self.last["threadId"], self.last["runId"]) == ids

    @property
    def _changes(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        return {
            "TEXT_MESSAGE_START": lambda event: self._message(event["messageId"], role="assistant", content=""),
            "TEXT_MESSAGE_CONTENT": self._content,
            "TEXT_MESSAGE_END": self._metadata,
            "REASONING_MESSAGE_START": lambda event: self._message(event["messageId"], role="reasoning", content=""),
            "REASONING_MESSAGE_CONTENT": self._content,
            "TOOL_CALL_START": self._call,
            "TOOL_CALL_ARGS": self._arguments,
            "MESSAGES_SNAPSHOT": self._snapshot,
        }

    def _message(self, name: str, **fields: Any) -> dict[str, Any]:
        found = next((each for each in self.messages if each["id"] == name), None)
        if found is None:
            self.messages.append(found := {"id": name, **fields})
        return found

    def _metadata(self, event: dict[str, Any]) -> None:
        if "metadata" in event:
            self._message(event["messageId"])["metadata"] = event["metadata"]

    def _content(self, event: dict[str, Any]) -> None:
        assert event["delta"]
        self._message(event["messageId"])["content"] += event["delta"]

    def _call(self, event: dict[str, Any]) -> None:
        call = {"id": event["toolCallId"], "type": "function"}
        call["function"] = {"name": event["toolCallName"], "arguments": ""}
        self._message(event["parentMessageId"], role="assistant").setdefault("toolCalls", []).append(call)

    def _arguments(self, event: dict[str, Any]) -> None:
        calls = [call for message in self.messages for call in message.get("toolCalls", ())]
        (call,) = [each for each in calls if each["id"] == event["toolCallId"]]
        call["function"]["arguments"] += event["delta"]

    def _snapshot(self, event: dict[str, Any]) -> None:
        new = {message["id"]: message for message in event["messages"]}
        thoughts = [each for each in event["messages"] if each["role"] == "reasoning"]
        kept = [
            new.get(message["id"], message)
            for message in self.messages
            if message["id"] in new or (message["role"] == "reasoning" and not thoughts)
        ]
        known = {message["id"] for message in kept}
        self.messages = [*kept, *(message for name, message in new.items() if name not in known)]


def _entry(interrupt_id: str, answer: Any) -> dict[str, Any]:
    if answer is None:
        return {"interruptId": interrupt_id, "status": "cancelled"}
    return {"interruptId": interrupt_id, "status": "resolved", "payload": answer}


def _check_order(event: dict[str, Any], opened: set[tuple[str, str]]) -> None:
    for kind, field in _PAIRS.items():
        if event["type"] in (f"{kind}_CONTENT", f"{kind}_ARGS"):
            assert (kind, event[field]) in opened
    for kind, field in {**_PAIRS, **_SPANS, "REASONING": "messageId"}.items():
        if event["type"] in (f"{kind}_START", f"{kind}_STARTED"):
            assert (kind, event[field]) not in opened
            opened.add((kind, event[field]))
        if event["type"] in (f"{kind}_END", f"{kind}_FINISHED", f"{kind}_ERROR"):
            opened.remove((kind, event[field]))
