"""/v1/responses, streamed: order, interleaving, failures, heartbeats, and clients that leave."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, GuardrailFunctionOutput, function_tool, output_guardrail
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from agency_lambda.framework.offline_model import output_items
from agency_lambda.protocol import stream as wire
from agency_lambda.testing.events import Context, http_event
from agency_lambda.testing.service import read_events
from tests.library.conftest import Service
from tests.library.model_server import Failure, Items, ModelServer, call

Start = Callable[..., Service]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def balanced(events: list[dict[str, Any]]) -> None:
    """Every item and part that opens closes once, in order, and the last event holds what the others told."""
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] in ("response.completed", "response.incomplete", "response.failed")
    told: dict[int, Any] = {}
    open_items: dict[int, str] = {}
    open_parts: dict[tuple[str, int], str] = {}
    for event in events[2:-1]:
        EVENT.validate_python(event)
        kind, index = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert index == len(told)
            assert event["item"]["status"] == "in_progress"
            told[index], open_items[index] = None, event["item"]["id"]
        elif kind == "response.output_item.done":
            assert open_items.pop(index) == event["item"]["id"]
            assert not [part for part in open_parts if part[0] == event["item"]["id"]]
            told[index] = event["item"]
        else:
            assert open_items[index] == event["item_id"]
            part = (event["item_id"], event.get("content_index", event.get("summary_index", -1)))
            if kind.endswith("part.added"):
                assert part not in open_parts
                open_parts[part] = ""
            elif kind.endswith("part.done"):
                assert open_parts.pop(part) == event["part"].get("text", event["part"].get("refusal"))
            elif kind.endswith(".delta") and part in open_parts:
                open_parts[part] += event["delta"]
    assert not open_items
    assert list(told.values()) == events[-1]["response"]["output"]


def test_a_stream_tells_what_the_whole_answer_holds(service: Service) -> None:
    events = service.respond("Client Nordwind asks about a date.", stream=True)
    balanced(events)
    whole = service.respond("Client Nordwind asks about a date.")
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert re.sub(r"\d", "", said) == re.sub(r"\d", "", whole["output"][-1]["content"][0]["text"])
    assert whole["output"][-1].keys() == events[-1]["response"]["output"][-1].keys()
    assert events[-1]["response"].keys() == whole.keys()


def office() -> Agency:
    """A chief who asks two colleagues at once, who use tools at the same time."""
    ready = asyncio.Barrier(2)

    @function_tool
    async def look_up(secret: str) -> str:
        """Waits until the other colleague is here too."""
        await asyncio.wait_for(ready.wait(), 10)
        return "OUTPUT-OF-A-TOOL"

    chief = Agent(name="Chief", instructions="INSTRUCTIONS-OF-CHIEF", model="one")
    ann = Agent(name="Ann", instructions="INSTRUCTIONS-OF-ANN", model="one", tools=[look_up])
    bob = Agent(name="Bob", instructions="INSTRUCTIONS-OF-BOB", model="one", tools=[look_up])
    return Agency(chief, communication_flows=[chief > ann, chief > bob])


def play(request: Any) -> Any:
    """What the agents of `office` answer."""
    asked = [item for item in request.items if item.get("type") == "function_call_output"]
    if "CHIEF" in request.instructions:
        both = [
            *call("send_message", recipient_agent="Ann", message="MESSAGE-TO-ANN", additional_instructions=""),
            *call("send_message", recipient_agent="Bob", message="MESSAGE-TO-BOB", additional_instructions=""),
        ]
        return "The two have looked." if asked else both
    return "WORDS-OF-A-COLLEAGUE" if asked else call("look_up", secret="ARGUMENT")


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_agents_that_work_side_by_side_interleave(start: Start, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": office})
    with ModelServer(play) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, MODEL_API=api)
        events = service.respond("go", stream=True)
        assert len(server.requests) == 6
        assert server.tokens == tuple(events[-1]["response"]["usage"][f"{way}_tokens"] for way in ("input", "output"))
    balanced(events)
    output = events[-1]["response"]["output"]
    asks = {item["recipient"]: item["id"] for item in output if item.get("tool") == "send_message"}
    looks = {item["agent"]: item["parent"] for item in output if item.get("tool") == "look_up"}
    assert looks == asks
    order = [(event["type"][21:], event["item"].get("agent")) for event in events if "output_item" in event["type"]]
    assert order.index(("added", "Bob")) < order.index(("done", "Ann"))
    assert output[-1]["content"][0]["text"] == "The two have looked."
    assert events[-1]["response"]["usage"]["model_calls"] == 6
    shown = json.dumps(events)
    for hidden in ("INSTRUCTIONS", "OUTPUT-OF-A-TOOL", "MESSAGE-TO", "ARGUMENT", "WORDS-OF-A-COLLEAGUE"):
        assert hidden not in shown


def test_a_run_that_fails_in_the_middle_closes_what_it_opened(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chief's own model breaks off while it speaks; what was said stays, marked as incomplete."""
    chief = Agent(name="One", instructions="One", model="one")
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lambda: Agency(chief)})
    monkeypatch.setattr("agency_lambda.framework.building._defect", lambda agency: None)
    with ModelServer(lambda request: Failure(0, after=6)) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        events = service.respond("go", stream=True)
    balanced(events)
    assert events[-1]["type"] == "response.failed"
    assert [item["status"] for item in events[-1]["response"]["output"]] == ["incomplete"]
    assert events[-1]["response"]["error"]["detail_code"] == "upstream_failed"


def test_a_tool_that_is_cancelled_closes_too(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def agency() -> Agency:
        @function_tool
        async def endless() -> str:
            """Never comes back."""
            raise asyncio.CancelledError

        return Agency(Agent(name="One", instructions="One", model="one", tools=[endless]))

    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    with ModelServer([call("endless"), "done"]) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        events = service.respond("go", stream=True)
    balanced(events)


class Client:
    """One streamed request, read event by event, which may be left at any of them."""

    def __init__(self, service: Service, **fields: Any) -> None:
        self._service, self.received = service, b""
        body = {"model": "letters", "input": "go", "stream": True, **fields}
        self._body = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
        self._left = asyncio.Event()
        self.leave_at: str | None = None

    async def receive(self) -> Any:
        if self._body:
            return self._body.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.received += message.get("body", b"")
        if self.leave_at and self.leave_at.encode() in self.received:
            self._left.set()
            raise OSError("the client has gone")

    def run(self, leave_at: str | None = None) -> str:
        self.leave_at = leave_at
        headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": headers}
        self._service.handler.run(self._service.handler.asgi(scope, self.receive, self.send))
        return self.received.decode()


@pytest.mark.parametrize("leave_at", ["response.created", "response.output_item.added", "response.output_text.delta"])
def test_a_client_that_leaves_loses_nothing(service: Service, leave_at: str) -> None:
    seen = Client(service).run(leave_at)
    assert "response.completed" not in seen
    response_id = json.loads(seen.split("data: ")[1].split("\n")[0])["response"]["id"]
    status, kept = service.get(f"/v1/responses/{response_id}")
    assert (status, kept["status"]) == (200, "completed")
    assert "Subtask" in kept["output"][-1]["content"][0]["text"]
    assert service.respond("go on", previous_response_id=response_id)["status"] == "completed"
    replayed = service.handler(http_event("GET", f"/v1/responses/{response_id}?stream=true"), Context(60))["body"]
    balanced(read_events(replayed))


def test_a_client_that_leaves_what_is_not_stored_ends_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def agency() -> Agency:
        @function_tool
        async def slow() -> str:
            """Takes its time."""
            try:
                await asyncio.sleep(30)
            finally:
                ended.append("slow")
            return "never"

        return Agency(Agent(name="One", instructions="One", tools=[slow]))

    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    Client(start(), store=False).run("slow")
    assert ended == ["slow"]


def test_a_silent_stream_has_a_heartbeat(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wire.HEARTBEAT <= 15
    monkeypatch.setattr(wire, "HEARTBEAT", 0.05)
    with ModelServer(lambda request: "done", delay=0.4) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        body = Client(service, model="letters/Registrar").run()
    assert body.count(": still working\n\n") >= 3
    balanced(read_events(body))


@pytest.mark.parametrize("count", [1, 100])
def test_an_event_that_is_there_is_sent_without_a_task_of_its_own(count: int) -> None:
    tasks, sent = list[asyncio.Task[Any]](), list[bytes]()

    def noted(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        tasks.append(asyncio.Task(coro, loop=loop, **options))
        return tasks[-1]

    async def events() -> AsyncIterator[dict[str, Any]]:
        for number in range(count):
            yield {"type": "told", "sequence_number": number}

    async def left() -> None: ...

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def stream() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(noted)
        await wire.EventStreamResponse(wire.encoded_events(events()), left)(
            {"type": "http"}, lambda: loop.create_future(), send
        )
        loop.set_task_factory(None)

    asyncio.run(stream())
    assert [event["sequence_number"] for event in read_events(b"".join(sent).decode())] == list(range(count))
    assert len(tasks) <= 3  # who tells, who keeps the connection, who sees the client go


def test_words_reach_the_client_before_the_answer_is_whole(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model says its last word only when the client has had the first one."""
    heard = threading.Event()
    chief = lambda: Agency(Agent(name="One", instructions="One", model="one"))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"letters": chief})
    with ModelServer(lambda request: "first word, and then some more of them", hold=heard) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        client = Client(service)
        send = client.send

        async def listen(message: Any) -> None:
            await send(message)
            if b"response.output_text.delta" in client.received:
                heard.set()

        client.send = listen  # type: ignore[method-assign]
        balanced(read_events(client.run()))


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_message_before_calls_ends_before_them(start: Start, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    """The provider ends its answer only when the client knows that the message has ended."""
    ended = threading.Event()

    def agency() -> Agency:
        @function_tool
        def look_up() -> str:
            """Finds it."""
            return "found"

        return Agency(Agent(name="One", instructions="One", model="one", tools=[look_up]))

    def play(request: Any) -> Any:
        if any(item.get("type") == "function_call_output" for item in request.items):
            return "It is there."
        return Items([*output_items("I look it up."), *output_items(call("look_up"))])

    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    with ModelServer(play, hold=ended) as server:
        client = Client(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, MODEL_API=api))
        send = client.send

        async def listen(message: Any) -> None:
            await send(message)
            if b"response.output_item.done" in client.received:
                ended.set()

        client.send = listen  # type: ignore[method-assign]
        events = read_events(client.run())
    balanced(events)
    output = events[-1]["response"]["output"]
    assert [item["status"] for item in output] == ["completed"] * 3
    assert [item["content"][0]["text"] for item in output if "content" in item] == ["I look it up.", "It is there."]


def test_a_finished_stream_is_told_again_from_any_event_on(service: Service) -> None:
    events = service.respond("Client Nordwind asks.", stream=True)
    path = f"/v1/responses/{events[0]['response']['id']}?stream=true"

    def again(query: str = "", **headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        chunks = service.handler(http_event("GET", path + query, **sent), Context(60))["body"].split("\n\n")[:-2]
        return [json.loads(chunk.split("data: ")[1]) for chunk in chunks]

    assert again() == events
    assert again("&starting_after=7") == events[8:]
    assert again(last_event_id="7") == again("&starting_after=2", last_event_id="7") == events[8:]
    assert again(last_event_id="-1") == events
    assert again(f"&starting_after={len(events)}") == []
    for wrong in ("-2", "x"):
        status, body = service.get(path, **{"last-event-id": wrong})
        assert (status, body["error"]["param"]) == (400, "Last-Event-ID")
    whole = service.respond("hello")
    status, body = service.get(f"/v1/responses/{whole['id']}?stream=true")
    assert (status, body["error"]["param"]) == (400, "stream")


def test_what_a_guardrail_refuses_is_never_heard(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    @output_guardrail
    async def no_secrets(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="no", tripwire_triggered="SECRET" in str(output))

    def agency() -> Agency:
        return Agency(Agent(name="One", instructions="One", model="one", output_guardrails=[no_secrets]))

    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    answers = ["a SECRET thing"] * 4 + ["a nice thing"]
    with ModelServer(answers) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        events = service.respond("go", stream=True)
        balanced(events)
        assert events[-1]["response"]["error"]["detail_code"] == "guardrail_triggered"
        assert "SECRET" not in json.dumps(events)
        server.answer = lambda request: "a nice thing"
        events = service.respond("go", stream=True)
        balanced(events)
        assert events[-1]["response"]["output"][-1]["content"][0]["text"] == "a nice thing"
