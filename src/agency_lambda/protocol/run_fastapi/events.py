"""The events of a run as those of `get_response_stream`."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from agency_lambda.protocol.item_builder import is_activity
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.protocol.run_fastapi.approvals import sentence
from agency_lambda.protocol.run_fastapi.items import (
    Provenance,
    call,
    call_output,
    own_fields,
)
from agency_lambda.protocol.run_fastapi.turn import Turn
from agency_lambda.protocol.stream import encode_data
from agency_lambda.protocol.types import Event, Item

END = b"event: end\ndata: [DONE]\n\n"
_ADDED, _DONE = "response.output_item.added", "response.output_item.done"
_NOTED = ("response.created", "response.in_progress", "response.completed", "response.incomplete")


class Stream:
    """Server-sent events of a run. response: as the run began."""

    def __init__(self, events: AsyncIterator[Event], response: ResponseObject, turn: Turn) -> None:
        self._events, self._turn = events, turn
        self._translator = _Translator(response, shows_content=turn.may_decide)
        self._run_id = response["id"]

    @property
    def is_over(self) -> bool:
        """Return whether the run has ended, or goes on without this stream."""
        return self._translator.response["status"] in FINAL or bool(self._translator.resume)

    async def encoded(self) -> AsyncIterator[bytes]:
        yield encode_data({"run_id": self._run_id}, "meta")
        async for event in self._events:
            for frame in self._translator.frames(event):
                yield encode_data(frame)
        payload = self._turn.messages(self._translator.response) | self._translator.resume
        yield encode_data(payload, "messages")
        yield END


class _Translator:
    """Translates events. `response` is as it is after the last one."""

    def __init__(self, response: ResponseObject, *, shows_content: bool) -> None:
        self.response: ResponseObject = {**response, "output": []}
        self._shows_content = shows_content
        self.resume: dict[str, str] = {}
        self._provenance = Provenance(response["id"])
        self._made: dict[str, Item] = {}  # an item's id -> its provenance
        self._activities: set[str] = set()
        self._agent: str | None = None  # who speaks with the user

    def frames(self, event: Event) -> Iterator[dict[str, Any]]:
        if "response" in event:
            yield from self._of_response(event)
        elif event["type"] == _ADDED:
            yield from self._added(event)
        elif event["type"] == _DONE:
            yield from self._done(event)
        elif (item := event.get("item_id")) and item not in self._activities:
            yield _raw(event, self._made.get(item, {}))

    def _of_response(self, event: Event) -> Iterator[dict[str, Any]]:
        response = event["response"]
        if "resume" in event:
            self.resume = {"resume": event["resume"]}
            yield {"error": f"The run goes on without this connection. GET {event['resume']} has the rest."}
            return
        if response["status"] in FINAL:
            self.response = response
            yield from self._asked(event)
        if response["status"] == "failed":
            yield {"error": response["error"]["message"]}
        elif event["type"] in _NOTED:
            made = self._provenance.of({"type": "response", "agent": self._agent or _agent_of(response)})
            yield _raw({**event, "response": {**response, "output": []}}, made)

    def _asked(self, event: Event) -> Iterator[dict[str, Any]]:
        asked, index = sentence(event["response"], shows_content=self._shows_content), len(event["response"]["output"])
        if asked:
            made, place = self._provenance.of(asked), {**event, "output_index": index}
            del place["response"]
            text = {"item_id": asked["id"], "content_index": 0, "delta": asked["content"][0]["text"], "logprobs": []}
            yield _raw({**place, "type": _ADDED, "item": own_fields({**asked, "content": []})}, made)
            yield _raw({**place, "type": "response.output_text.delta", **text}, made)
            yield _raw({**place, "type": _DONE, "item": own_fields(asked)}, made)

    def _added(self, event: Event) -> Iterator[dict[str, Any]]:
        item = event["item"]
        made = self._made[item["id"]] = self._provenance.of(item)
        yield from self._updated(item, made)
        if not is_activity(item):
            yield _raw({**event, "item": own_fields(item)}, made)
            return
        self._activities.add(item["id"])
        called = call(item)
        yield _raw({**event, "item": called}, made)
        yield _raw({**event, "type": _DONE, "item": called}, made)
        yield _run_item("tool_called", "tool_call_item", called, made)

    def _done(self, event: Event) -> Iterator[dict[str, Any]]:
        item = event["item"]
        made = self._made.get(item["id"], {})
        self.response["output"].append(item)
        if is_activity(item):
            yield _run_item("tool_output", "tool_call_output_item", call_output(item), made, output="")
            return
        yield _raw({**event, "item": own_fields(item)}, made)
        if item["type"] == "message":
            yield _run_item("message_output_created", "message_output_item", own_fields(item), made)

    def _updated(self, item: Item, made: Item) -> Iterator[dict[str, Any]]:
        agent = item.get("agent")
        if agent and not item.get("parent") and agent != self._agent:
            self._agent = agent
            yield _data({"type": "agent_updated_stream_event", "new_agent": {"name": agent}}, made)


def _agent_of(response: ResponseObject) -> str | None:
    return response["model"].partition("/")[2] or None


def _raw(event: Event, made: Item) -> dict[str, Any]:
    item = event.get("item", {})
    ids = {"item_id": event.get("item_id") or item.get("id"), "call_id": item.get("call_id")}
    return _data({"type": "raw_response_event", "data": event} | {k: v for k, v in ids.items() if v}, made)


def _run_item(name: str, kind: str, raw_item: Item, made: Item, **more: Any) -> dict[str, Any]:
    ids = {"call_id": raw_item["call_id"]} if "call_id" in raw_item else {"item_id": raw_item["id"]}
    agent = {"name": made.get("agent")}
    item = {"agent": agent, "raw_item": raw_item, "type": kind, **more}
    return _data({"type": "run_item_stream_event", "name": name, "item": item} | ids, made)


def _data(payload: dict[str, Any], made: Item) -> dict[str, Any]:
    # Agency Swarm's stream has every value as a text, of which clients know this one.
    caller = {"callerAgent": "None"} if made.get("callerAgent", "") is None else {}
    return {"data": {**payload, **made, **caller}}
