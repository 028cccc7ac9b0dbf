"""The events of responses as those of one run, which clients since 0.0.45 accept."""

from collections.abc import Iterator, Sequence
from typing import Any

from ag_ui.core import PROTOCOL_VERSION

from agency_lambda.errors import detail_code
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ag_ui.items import ItemEvents
from agency_lambda.protocol.ag_ui.request import Message, RunInput
from agency_lambda.protocol.ag_ui.thread import response_of
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Event

_SNAPSHOT = 1_000_000  # bytes of messages that are sent back; a client has them
_GOES_ON = "The run goes on without this stream. Send the same run again (with its runId) to follow it."


class RunEvents:
    def __init__(self, body: RunInput, response_id: str) -> None:
        self._body = body
        self._kept = body.sent
        self._response_id = response_id
        self._items = ItemEvents(response_id, body.sent, is_current=body.is_current)

    @property
    def asked(self) -> list[str]:
        """Return the ids of the approvals that were asked."""
        return self._items.asked

    def start(self) -> Iterator[Event]:
        parent = {"parentRunId": self._body.parent_run_id} if self._body.parent_run_id else {}
        version = {"protocolVersion": PROTOCOL_VERSION, "metadata": {"response_id": self._response_id}}
        yield {"type": "RUN_STARTED", **self._ids, **parent, **version}
        if self._body.state is not None:
            yield {"type": "STATE_SNAPSHOT", "snapshot": self._body.state}
        yield from self._restate()

    def follow(self, response_id: str) -> Iterator[Event]:
        """Go on with another response, as the approvals of this one were decided elsewhere."""
        yield from self._items.finish(is_interrupted=True)
        self._response_id = response_id
        self._items.follow(response_id)
        yield from self._restate()

    def _restate(self) -> Iterator[Event]:
        # What the client has of a response is removed before its events follow: it would append their texts.
        kept = [message for message in self._kept if not self._is_restated(message)]
        if len(kept) < len(self._kept):
            self._kept = kept
            yield {"type": "MESSAGES_SNAPSHOT", "messages": [*kept, *self._items.messages]}

    def _is_restated(self, message: Message) -> bool:
        return message["role"] != "reasoning" and response_of(message) == self._response_id

    def translate(self, event: Event) -> Iterator[Event]:
        return self._items.translate(event)

    def finish(self, response: ResponseObject, interrupts: Sequence[dict[str, Any]] = ()) -> Iterator[Event]:
        """End the run. interrupts: approvals that nobody has decided."""
        status, usage = response["status"], _usage(response["usage"])
        if response["error"]:
            code = detail_code(response["error"])
            yield {"type": "RUN_ERROR", "message": response["error"]["message"], "code": code, **usage}
        elif status != "completed" and not self._body.is_current:  # which would take it for a success
            reason = (response["incomplete_details"] or {}).get("reason", status)
            yield {"type": "RUN_ERROR", "message": f"The run has not ended: {reason}.", "code": reason, **usage}
        else:
            yield from self._items.finish(is_interrupted=bool(interrupts))
            yield from self._snapshot()
            details = {"metadata": response["incomplete_details"]} if response["incomplete_details"] else {}
            yield {"type": "RUN_FINISHED", **self._ids, **self._outcome(status, interrupts), **usage, **details}

    def interrupt(self, interrupts: Sequence[dict[str, Any]]) -> Iterator[Event]:
        """End the run of a response that waits under its own id."""
        yield from self._items.finish(is_interrupted=True)
        yield from self._snapshot()
        yield {"type": "RUN_FINISHED", **self._ids, **self._outcome("completed", interrupts)}

    def break_off(self, resume: str) -> Event:
        """End the stream of a run that goes on. resume: the URL with the rest."""
        metadata = {"response_id": self._response_id, "resume": resume}
        return {"type": "RUN_ERROR", "message": _GOES_ON, "code": "in_progress", "metadata": metadata}

    @property
    def _ids(self) -> dict[str, str]:
        return {"threadId": self._body.thread_id, "runId": self._body.run_id}

    def _snapshot(self) -> Iterator[Event]:
        # Clients before 1.0 would drop the reasoning, which others keep if the snapshot has none.
        messages = [each for each in [*self._kept, *self._items.messages] if each["role"] != "reasoning"]
        if self._body.is_current and bounds.size(messages) <= _SNAPSHOT:
            yield {"type": "MESSAGES_SNAPSHOT", "messages": messages}

    def _outcome(self, status: str, interrupts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        if interrupts:
            return {"outcome": {"type": "interrupt", "interrupts": list(interrupts)}}
        if not self._body.is_current:
            return {}  # a success; where the outcome is sent, some clients do not go on after their calls
        if status != "completed":
            return {"outcome": {"type": "cancelled"}}
        calls = self._items.pending_calls
        return {"outcome": {"type": "success", **({"pendingToolCallIds": calls} if calls else {})}}


def _usage(usage: dict[str, Any] | None) -> dict[str, Any]:
    if not usage:
        return {}
    counts = {"inputTokens": usage["input_tokens"], "outputTokens": usage["output_tokens"]}
    parts = {
        "cachedInputTokens": usage.get("input_tokens_details", {}).get("cached_tokens"),
        "cacheWriteInputTokens": usage.get("input_tokens_details", {}).get("cache_write_tokens"),
        "reasoningTokens": usage.get("output_tokens_details", {}).get("reasoning_tokens"),
    }
    # A zero may stand for a count that the provider has not given.
    known = {name: value for name, value in parts.items() if value}
    return {"usage": [{**counts, "totalTokens": sum(counts.values()), **known}]}
