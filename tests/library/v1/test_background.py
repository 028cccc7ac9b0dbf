"""Runs in the background: queued at once, polled, followed from any event on, cancelled from anywhere, never a 504."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from socketserver import StreamRequestHandler
from typing import Any, NamedTuple

import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import AgentHooks

from agency_lambda.errors import AttemptsExhausted, StoreUnavailable
from agency_lambda.history.turns import delete_partition
from agency_lambda.protocol.stream import resumable_events
from agency_lambda.queue.local import LocalQueue
from agency_lambda.runs import worker
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.outcome import MOST_ATTEMPTS
from agency_lambda.runs.service import RunService
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import LeaseLost
from agency_lambda.settings import get_settings
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelServer, call

Start = Callable[..., Service]
ASK = {"model": "letters", "input": "Client Nordwind asks about a date."}
LATER = {**ASK, "background": True}
FINAL = ("completed", "incomplete", "failed", "cancelled")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is done every few seconds, several times a second."""
    for name, seconds in (("heartbeat.FLUSH", 0.02), ("heartbeat.RENEW", 0.05), ("outcome.BACKOFF", 0.05)):
        monkeypatch.setattr(f"agency_lambda.runs.{name}", seconds)
    monkeypatch.setattr("agency_lambda.runs.following._POLL", 0.02)


@pytest.fixture(autouse=True)
def hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library's server leaves a socket open, if its client has gone before it was answered."""
    finish = StreamRequestHandler.finish

    def finish_and_close(self: StreamRequestHandler) -> None:
        try:
            finish(self)
        finally:
            self.rfile.close()

    monkeypatch.setattr(StreamRequestHandler, "finish", finish_and_close)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of a stream that ended as it should."""
        *chunks, done, rest = self.text.split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        return [json.loads(chunk.split("data: ")[1]) for chunk in chunks if not chunk.startswith(":")]


async def ask(service: Service, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request as under a server: beside others, and beside whoever works on the runs."""
    sent: list[Any] = []
    received = [{"type": "http.request", "body": json.dumps(body or {}).encode(), "more_body": False}]

    async def receive() -> Any:
        return received.pop() if received else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    given = {"content-type": "application/json", "host": "localhost", **headers}
    scope = {
        **{"type": "http", "method": method, "path": path, "query_string": query.encode()},
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    await service.handler.asgi(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent).decode())


def attempt(service: Service, response_id: str) -> None:
    """What a worker does that was sent for."""
    from agency_lambda.run_service import get_run_service

    with suppress(AttemptsExhausted):
        service.handler.run(worker.work(get_run_service(), response_id))


def sent_for(service: Service) -> list[str]:
    """The runs that somebody was sent for, since this was asked last."""
    from agency_lambda.run_service import get_run_service

    async def received() -> list[str]:
        queue, found = get_run_service().queue, []
        assert isinstance(queue, LocalQueue)
        with suppress(TimeoutError):
            while True:
                found.append((await asyncio.wait_for(queue.receive(), 0.01))[0])
        return found

    found: list[str] = service.handler.run(received())
    return found


async def until[T](look: Callable[[], Awaitable[T]], wanted: Callable[[T], Any]) -> T:
    """Look until it is as wanted."""
    async with asyncio.timeout(10):
        while not wanted(found := await look()):  # noqa: ASYNC110 - what the store says makes no event
            await asyncio.sleep(0.01)
    return found


def read(service: Service, response_id: str) -> Any:
    status, response = service.get(f"/v1/responses/{response_id}")
    assert status == 200
    return response


def later(service: Service, **fields: Any) -> str:
    """A new run in the background, that nobody works on yet."""
    status, response = service.post("/v1/responses", {**LATER, **fields})
    assert (status, response["status"], response["background"], response["output"]) == (200, "queued", True, [])
    return str(response["id"])


def replay(service: Service, response_id: str, after: int | None = None) -> list[dict[str, Any]]:
    """The events in the store, of a run that has ended."""
    query = "" if after is None else f"&starting_after={after}"
    event = http_event("GET", f"/v1/responses/{response_id}?stream=true{query}")
    answer = service.handler(event, Context(60))
    return Answer(answer["statusCode"], {}, answer["body"]).events


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [event["sequence_number"] for event in events]


class Gate:
    """A tool that says that it was entered, and waits to be let through."""

    def __init__(self) -> None:
        self.entered, self.open = asyncio.Event(), asyncio.Event()
        self.calls, self.left = 0, ""

    async def wait(self) -> str:
        self.calls += 1
        self.entered.set()
        try:
            await self.open.wait()
            self.left = "let through"
        except asyncio.CancelledError:
            self.left = "cancelled"
            raise
        return "through the gate"


def gated(gate: Gate) -> Callable[[], Agency]:
    """A chief who asks a colleague, who goes through the gate."""

    def agency() -> Agency:
        @function_tool
        async def pass_gate() -> str:
            """Waits."""
            return await gate.wait()

        chief = Agent(name="Chief", instructions="You are Chief.", model="one")
        ann = Agent(name="Ann", instructions="You are Ann.", model="one", tools=[pass_gate])
        return Agency(chief, communication_flows=[chief > ann])

    return agency


def play(request: Any) -> Any:
    """What the models of `gated` answer."""
    asked = [item for item in request.items if item.get("type") == "function_call_output"]
    if "Chief" in request.instructions:
        colleague = call("send_message", recipient_agent="Ann", message="go", additional_instructions="")
        return "Chief is done." if asked else colleague
    return "Ann is done." if asked else call("pass_gate")


class Office(NamedTuple):
    service: Service
    gate: Gate
    server: ModelServer


@pytest.fixture
def office(start: Start, monkeypatch: pytest.MonkeyPatch) -> Any:
    gate = Gate()
    monkeypatch.setattr("agencies.AGENCIES", {"letters": gated(gate)})
    with ModelServer(play) as server:
        yield Office(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url), gate, server)


def test_it_is_queued_at_once_and_completed_when_somebody_has_worked_on_it(service: Service) -> None:
    made = later(service, metadata={"case": "7"})
    assert "model_calls" not in service.report.fields
    assert sent_for(service) == [made]
    assert read(service, made)["status"] == "queued"
    attempt(service, made)
    done = read(service, made)
    assert (done["status"], done["background"], done["metadata"]) == ("completed", True, {"case": "7"})
    assert "Dear Nordwind" in done["output"][-1]["content"][0]["text"]
    assert done["usage"]["model_calls"] >= 5
    assert done["completed_at"] >= done["created_at"]
    assert service.respond("And then?", previous_response_id=made)["status"] == "completed"


def test_it_is_polled_from_queued_to_completed(office: Office) -> None:
    service, gate, _ = office

    async def scenario() -> list[str]:
        from agency_lambda.run_service import get_run_service

        made = (await ask(service, "POST", "/v1/responses", LATER)).json

        async def status() -> str:
            return str((await ask(service, "GET", f"/v1/responses/{made['id']}")).json["status"])

        seen = [made["status"], await status()]
        working = asyncio.create_task(worker.work(get_run_service(), made["id"]))
        await gate.entered.wait()
        seen.append(await status())
        gate.open.set()
        await working
        return [*seen, await status()]

    assert service.handler.run(scenario()) == ["queued", "queued", "in_progress", "completed"]


def test_a_stream_comes_from_the_store_and_from_any_event_on(office: Office) -> None:
    """Also while the run goes on: every reader sees exactly the events behind its own, whenever it came."""
    service, gate, _ = office

    async def scenario() -> tuple[list[Any], dict[int, list[Any]], dict[int, list[Any]]]:
        from agency_lambda.run_service import get_run_service

        creating = asyncio.create_task(ask(service, "POST", "/v1/responses", {**LATER, "stream": True}))
        made = (await until(lambda: Leases(get_run_service().store).all(), bool))[0].id
        path = f"/v1/responses/{made}?stream=true&starting_after="
        working = asyncio.create_task(worker.work(get_run_service(), made))
        await gate.entered.wait()
        early = {after: asyncio.create_task(ask(service, "GET", f"{path}{after}")) for after in range(12)}
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in [creating, *early.values()])
        gate.open.set()
        await working
        events = (await creating).events
        live = {after: (await task).events for after, task in early.items()}
        late = {after: (await ask(service, "GET", f"{path}{after}")).events for after in range(-1, len(events) + 2)}
        return events, live, late

    events, live, late = service.handler.run(scenario())
    assert numbers(events) == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"] == read(service, events[0]["response"]["id"])
    assert len(events) > 8
    for after, seen in [*live.items(), *late.items()]:
        assert seen == events[after + 1 :], after


@pytest.mark.parametrize("query", ["?stream=true&starting_after=x", "?stream=true&starting_after=-2"])
def test_a_number_that_is_none_is_refused(service: Service, query: str) -> None:
    status, answer = service.get(f"/v1/responses/{later(service, stream=None)}{query}")
    assert (status, answer["error"]["param"]) == (400, "starting_after")


def test_it_needs_to_be_stored(service: Service) -> None:
    status, answer = service.post("/v1/responses", {**LATER, "store": False})
    assert (status, answer["error"]["param"]) == (400, "store")
    assert sent_for(service) == []


def test_a_queued_run_is_cancelled_before_it_has_begun(service: Service) -> None:
    made = later(service)
    status, cancelled = service.post(f"/v1/responses/{made}/cancel", None)
    assert (status, cancelled["status"], cancelled["output"]) == (200, "cancelled", [])
    assert "model_calls" not in service.report.fields or service.report.fields["model_calls"] == 0
    attempt(service, made)  # its message comes all the same
    assert read(service, made) == cancelled


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_running_run_is_cancelled_while_a_colleague_works(office: Office, elsewhere: bool) -> None:
    """elsewhere: by a process that shares nothing with the one that works but the store."""
    service, gate, server = office

    async def scenario() -> Any:
        from agency_lambda.run_service import get_run_service

        conversation = (await ask(service, "POST", "/v1/conversations")).json["id"]
        body = {**LATER, "stream": True, "conversation": conversation}
        creating = asyncio.create_task(ask(service, "POST", "/v1/responses", body))
        made = (await until(lambda: Leases(get_run_service().store).all(), bool))[0].id
        working = asyncio.create_task(worker.work(get_run_service(), made))
        await gate.entered.wait()
        if elsewhere:
            other = RunService(get_settings())
            cancelled = await asyncio.wait_for(other.cancel("local", made), 5)
            await other.aclose()
        else:
            answer = await asyncio.wait_for(ask(service, "POST", f"/v1/responses/{made}/cancel"), 5)
            assert answer.status == 200
            cancelled = answer.json
        await working
        return conversation, cancelled, (await creating).events

    conversation, cancelled, events = service.handler.run(scenario())
    assert gate.left == "cancelled"
    assert cancelled["status"] == "cancelled"
    assert cancelled["error"] is None
    shown = [(item["type"], item["status"], item.get("recipient")) for item in cancelled["output"]]
    assert shown[0] == ("reasoning", "incomplete", "Ann")  # what was said so far is kept
    assert read(service, cancelled["id"]) == cancelled
    assert numbers(events) == list(range(len(events)))
    assert events[-1] == {
        "type": "response.incomplete",
        "sequence_number": len(events) - 1,
        "response": cancelled,
    }
    opened = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    closed = [event["item"]["id"] for event in events if event["type"] == "response.output_item.done"]
    assert sorted(opened) == sorted(closed) == sorted(item["id"] for item in cancelled["output"])
    asked = len(server.requests)
    attempt(service, cancelled["id"])
    assert len(server.requests) == asked == 2
    gate.open.set()
    assert service.respond("next", conversation=conversation)["status"] == "completed"  # it is free again
    status, answer = service.post("/v1/responses", {**ASK, "previous_response_id": cancelled["id"]})
    assert (status, answer["error"]["param"]) == (400, "previous_response_id")


def test_a_foreground_run_is_cancelled_too(office: Office) -> None:
    service, gate, _ = office

    async def scenario() -> Any:
        from agency_lambda.run_service import get_run_service

        asking = asyncio.create_task(ask(service, "POST", "/v1/responses", ASK))
        await gate.entered.wait()
        made = (await Leases(get_run_service().store).all())[0].id
        cancelled = (await ask(service, "POST", f"/v1/responses/{made}/cancel")).json
        return cancelled, await asking

    cancelled, answer = service.handler.run(scenario())
    assert (answer.status, answer.json) == (200, cancelled)
    assert cancelled["status"] == "cancelled"


def test_a_deleted_run_ends_too(office: Office) -> None:
    service, gate, _ = office

    async def scenario() -> Any:
        from agency_lambda.run_service import get_run_service

        made = (await ask(service, "POST", "/v1/responses", LATER)).json["id"]
        working = asyncio.create_task(worker.work(get_run_service(), made))
        await gate.entered.wait()
        gone = await asyncio.wait_for(ask(service, "DELETE", f"/v1/responses/{made}"), 5)
        await working
        return gone, await ask(service, "GET", f"/v1/responses/{made}"), await Leases(get_run_service().store).all()

    gone, after, leases = service.handler.run(scenario())
    assert (gone.status, after.status, leases) == (200, 404, [])
    assert gate.left == "cancelled"


def test_those_that_wait_for_a_conversation_have_their_turn_in_order(service: Service) -> None:
    conversation = service.post("/v1/conversations", {})[1]["id"]
    made = [later(service, conversation=conversation, input=f"question {number}") for number in range(4)]
    sent_for(service)
    for waiting in reversed(made):  # it is not their turn
        if waiting != made[0]:
            attempt(service, waiting)
            assert read(service, waiting)["status"] == "queued"
    status, cancelled = service.post(f"/v1/responses/{made[2]}/cancel", None)
    assert (status, cancelled["status"]) == (200, "cancelled")
    for run, then in ((made[0], made[1]), (made[1], made[3])):
        attempt(service, run)
        assert read(service, run)["status"] == "completed"
        assert then in sent_for(service)  # whoever is next is told
    assert service.post("/v1/responses", {**ASK, "conversation": conversation})[0] == 409
    attempt(service, made[3])
    _, listed = service.get(f"/v1/conversations/{conversation}/items?order=asc&limit=100")
    said = [item["content"][0]["text"] for item in listed["data"] if item.get("role") == "user"]
    assert said == ["question 0", "question 1", "question 3"]
    assert service.respond("more", conversation=conversation)["status"] == "completed"


@pytest.mark.parametrize("background", [False, True])
def test_cancelling_what_has_ended_returns_it_as_it_is(service: Service, background: bool) -> None:
    made = later(service) if background else service.respond("hello")["id"]
    attempt(service, made)
    before = read(service, made)
    assert before["status"] == "completed"
    for _ in range(2):
        assert service.post(f"/v1/responses/{made}/cancel", None) == (200, before)
    assert service.post("/v1/responses/resp_nobody/cancel", None)[0] == 404


def test_a_model_that_is_out_of_order_is_asked_again_later(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    solo = lambda: Agency(Agent(name="One", instructions="One", model="one"))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"letters": solo})
    with ModelServer([Failure(429), Failure(500), Failure(503), "It works again."]) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        made = later(service, stream=None)
        assert sent_for(service) == [made]
        for tried in range(1, 4):
            attempt(service, made)
            assert (read(service, made)["status"], len(server.requests)) == ("in_progress", tried)
            again: list[str] = service.handler.run(_received_within(5))
            assert again == [made]
        attempt(service, made)
    done = read(service, made)
    assert (done["status"], done["output"][-1]["content"][0]["text"]) == ("completed", "It works again.")
    assert len(server.requests) == 4


async def _received_within(seconds: float) -> list[str]:
    from agency_lambda.run_service import get_run_service

    queue = get_run_service().queue
    assert isinstance(queue, LocalQueue)
    return [(await asyncio.wait_for(queue.receive(), seconds))[0]]


def test_a_model_that_stays_out_of_order_fails_the_run(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    solo = lambda: Agency(Agent(name="One", instructions="One", model="one"))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"letters": solo})
    delays: list[float] = []
    send = LocalQueue.send

    async def noted(self: LocalQueue, run: str, after: float = 0.0, *, owner: str = "") -> None:
        delays.append(after)
        await send(self, run, owner=owner)

    monkeypatch.setattr(LocalQueue, "send", noted)
    with ModelServer(lambda request: Failure(500)) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        body = {**LATER, "stream": True, "conversation": service.post("/v1/conversations", {})[1]["id"]}

        async def scenario() -> list[Any]:
            from agency_lambda.run_service import get_run_service

            creating = asyncio.create_task(ask(service, "POST", "/v1/responses", body))
            made = (await until(lambda: Leases(get_run_service().store).all(), bool))[0].id
            for _ in range(MOST_ATTEMPTS):
                assert not creating.done()
                await worker.work(get_run_service(), made)
            return (await creating).events

        events = service.handler.run(scenario())
        assert len(server.requests) == MOST_ATTEMPTS
        failed = events[-1]["response"]
        assert (events[-1]["type"], failed["error"]["detail_code"]) == ("response.failed", "upstream_failed")
        assert failed["status"] == "failed"
        assert numbers(events) == list(range(len(events)))
        assert [event["type"] for event in events].count("response.created") == 1
        assert delays[0] == 0
        assert delays[1:] == sorted(delays[1:])
        assert len(set(delays[1:])) == MOST_ATTEMPTS - 1  # longer each time
        attempt(service, failed["id"])
        assert len(server.requests) == MOST_ATTEMPTS
        assert read(service, failed["id"]) == failed
        server.answer = lambda request: "fine"
        assert service.respond("next", conversation=body["conversation"])["status"] == "completed"


def test_an_idempotency_key_makes_one_run(service: Service) -> None:
    key = {"idempotency-key": "key-1"}
    first = service.post("/v1/responses", LATER, **key)
    assert first[1]["status"] == "queued"
    assert service.post("/v1/responses", LATER, **key) == first
    assert sent_for(service) == [first[1]["id"]]
    attempt(service, first[1]["id"])
    status, again = service.post("/v1/responses", LATER, **key)
    assert (status, again) == (200, read(service, first[1]["id"]))
    assert again["status"] == "completed"
    assert service.post("/v1/responses", ASK, **key)[0] == 409


def test_another_owner_neither_sees_nor_cancels_it(start: Start) -> None:
    keys = {owner: {"authorization": f"Bearer al_{owner}"} for owner in ("ann", "bob")}
    digests = [f"{owner}:{hashlib.sha256(f'al_{owner}'.encode()).hexdigest()}" for owner in keys]
    service = start(API_KEYS=",".join(digests))
    made = service.post("/v1/responses", LATER, **keys["ann"])[1]["id"]
    for answer in (
        service.post(f"/v1/responses/{made}/cancel", None, **keys["bob"]),
        service.get(f"/v1/responses/{made}", **keys["bob"]),
        service.delete(f"/v1/responses/{made}", **keys["bob"]),
    ):
        assert answer[0] == 404
    attempt(service, made)
    assert service.get(f"/v1/responses/{made}", **keys["ann"])[1]["status"] == "completed"


def lookup() -> Agency:
    @function_tool
    async def look_up() -> str:
        """Looks something up."""
        return "looked up"

    return Agency(Agent(name="One", instructions="One", model="one", tools=[look_up]))


@pytest.mark.parametrize("path", ["/v1/responses", "/completion"])
def test_behind_a_stage_the_link_leads_there_too(start: Start, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once, delay=1.7) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        event = http_event("POST", f"/dev{path}", ASK if path == "/v1/responses" else {"message": "hello"})
        event["requestContext"]["stage"] = "dev"
        answer = service.handler(event, Context(4))
        (made,) = sent_for(service)
        assert (answer["statusCode"], answer["headers"]["location"]) == (202, f"/dev/v1/responses/{made}")
        found = http_event("GET", answer["headers"]["location"])
        found["requestContext"]["stage"] = "dev"
        assert service.send(found)[0] == 200
        server.delay = 0
        attempt(service, made)


def look_once(request: Any) -> Any:
    return "Found." if request.items[-1].get("type") == "function_call_output" else call("look_up")


@pytest.mark.parametrize("path", ["/v1/responses", "/completion"])
@pytest.mark.parametrize("key", [{}, {"idempotency-key": "key-1"}], ids=["", "key"])
def test_near_its_deadline_a_run_is_handed_over(
    start: Start, monkeypatch: pytest.MonkeyPatch, path: str, key: dict[str, str]
) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        service.post("/v1/responses", ASK)  # imports what a run needs, which would take of the deadline
        server.requests.clear()
        server.delay = 1.7
        body = ASK if path == "/v1/responses" else {"message": "hello", "thread_id": "nordwind"}
        answer = service.handler(http_event("POST", path, body, **key), Context(4))
        assert not service.report.deadline_exceeded
        told = json.loads(answer["body"])
        assert (answer["statusCode"], told["status"]) == (202, "in_progress"), told
        made = told["id" if path == "/v1/responses" else "run_id"]
        assert answer["headers"]["location"] == f"/v1/responses/{made}"
        assert len(server.requests) == 2  # the second has no answer yet
        assert sent_for(service) == [made]
        assert read(service, made)["status"] == "in_progress"
        if path == "/completion":
            assert told["thread_id"] == "nordwind"
            assert service.post("/completion", body)[0] == 409
        server.delay = 0
        attempt(service, made)
        done = read(service, made)
        assert (done["status"], done["output"][-1]["content"][0]["text"]) == ("completed", "Found.")
        assert done["usage"]["model_calls"] == 2
        # The first call was answered, and is not asked again; the second was not.
        assert [len(request.items) for request in server.requests] == [1, 3, 3]
        if key:
            status, again = service.post(path, body, **key)
            assert (status, again.get("status", "completed")) == (200, "completed")
        if path == "/completion":
            assert service.post(path, {**body, "message": "more"})[0] == 200
        assert len(server.requests) == (3 if path == "/v1/responses" else 5)


def test_a_stream_near_its_deadline_goes_on_in_another_attempt(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once, delay=1.7) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        answer = service.handler(http_event("POST", "/v1/responses", {**ASK, "stream": True}), Context(4))
        assert answer["statusCode"] == 200
        *first, last = Answer(200, {}, answer["body"]).events
        made = first[0]["response"]["id"]
        assert numbers(first) == list(range(len(first)))
        assert first[-1]["type"] not in [f"response.{status}" for status in FINAL]
        assert (last["type"], last["sequence_number"]) == ("response.in_progress", len(first) - 1)
        assert last["resume"] == f"/v1/responses/{made}?stream=true&starting_after={len(first) - 1}"
        server.delay = 0
        attempt(service, made)
        assert len(server.requests) == 3
    whole = replay(service, made)
    assert numbers(whole) == list(range(len(whole)))
    assert whole[: len(first)] == first
    assert replay(service, made, len(first) - 1) == whole[len(first) :]
    resumed = service.handler(http_event("GET", last["resume"]), Context(60))
    assert Answer(200, {}, resumed["body"]).events == whole[len(first) :]
    assert whole[-1]["type"] == "response.completed"


def test_a_stream_that_only_looks_on_says_how_to_go_on_when_its_invocation_ends(service: Service) -> None:
    def look(method: str, path: str, body: Any = None) -> list[dict[str, Any]]:
        return Answer(200, {}, service.handler(http_event(method, path, body), Context(4))["body"]).events

    *_, last = look("POST", "/v1/responses", {**LATER, "stream": True})
    for _ in range(2):
        assert (last["type"], last["response"]["background"]) == ("response.in_progress", True)
        *_, last = look("GET", last["resume"])
    attempt(service, last["response"]["id"])
    events = look("GET", last["resume"])
    assert events[-1]["type"] == "response.completed"
    assert numbers(events) == list(range(len(events)))


def test_a_run_that_nobody_takes_up_fails_in_time_and_says_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once, delay=3) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        ask = {**ASK, "store": False}
        whole = service.handler(http_event("POST", "/v1/responses", ask), Context(4))
        assert (whole["statusCode"], json.loads(whole["body"])["error"]["code"]) == (504, "deadline_exceeded")
        stream = service.handler(http_event("POST", "/v1/responses", {**ask, "stream": True}), Context(4))
        assert stream["statusCode"] == 200
        last = Answer(200, {}, stream["body"]).events[-1]
    assert (last["type"], last["response"]["error"]["detail_code"]) == ("response.failed", "deadline_exceeded")


def test_a_whole_answer_is_not_waited_for_longer_than_the_gateway_waits(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a gateway that cuts what is silent, though the function has more time. A stream is never silent."""
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once, delay=1.7) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, ANSWER_SECONDS="1")
        whole = service.handler(http_event("POST", "/v1/responses", ASK), Context(60))
        assert whole["statusCode"] == 202
        stream = service.handler(http_event("POST", "/v1/responses", {**ASK, "stream": True}), Context(60))
        assert Answer(200, {}, stream["body"]).events[-1]["type"] == "response.completed"


def test_whoever_does_not_wait_reads_of_a_run_in_the_background(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """So clients poll what is not answered yet, and take no empty text for an answer."""
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once, delay=1.7) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, ANSWER_SECONDS="1")
        answer = service.handler(http_event("POST", "/v1/responses", ASK), Context(60))
        told = json.loads(answer["body"])
        assert (answer["statusCode"], answer["headers"]["location"]) == (202, f"/v1/responses/{told['id']}")
        assert (told["status"], told["background"]) == ("in_progress", True)
        assert read(service, told["id"]) == told
        (listed,) = service.get("/v1/responses")[1]["data"]
        assert (listed["status"], listed["background"]) == ("in_progress", True)
        attempt(service, told["id"])
        final = read(service, told["id"])
        assert (final["status"], final["background"]) == ("completed", True)
        server.delay = 0.0
        assert service.post("/v1/responses", ASK)[1]["background"] is False
        stream = service.handler(http_event("POST", "/v1/responses", {**ASK, "stream": True}), Context(60))
        assert Answer(200, {}, stream["body"]).events[-1]["response"]["background"] is False


def test_who_looks_on_and_learns_nothing_new_is_not_sent_back_to_the_beginning(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once, delay=1.7) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        answer = service.handler(http_event("POST", "/v1/responses", {**ASK, "stream": True}), Context(4))
        *_, last = Answer(200, {}, answer["body"]).events
        assert last["sequence_number"] > 0
        again = service.handler(http_event("GET", last["resume"]), Context(3))
        (same,) = Answer(200, {}, again["body"]).events
    assert (same["sequence_number"], same["resume"]) == (last["sequence_number"], last["resume"])


@pytest.mark.parametrize("how", ["deleted", "unreadable"])
def test_a_stream_whose_response_goes_away_ends_as_streams_do(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    _, made = service.post("/v1/responses", LATER)
    from agency_lambda.run_service import get_run_service

    store, looks = get_run_service().store, list[str]()
    query = store.query

    async def at_the_third_look(partition: str, **more: Any) -> Any:
        looks.append(partition)
        if len(looks) < 3:
            return await query(partition, **more)
        if how == "unreadable":
            raise StoreUnavailable("The store could not be read.")
        monkeypatch.undo()
        await Leases(store).cancel(made["id"])
        await delete_partition(store, Responses(store, "local").partition(made["id"]))
        return []

    monkeypatch.setattr(store, "query", at_the_third_look)
    run = service.handler.run

    async def follow() -> list[Any]:
        events = Responses(store, "local").events(made["id"])
        return [event async for event in resumable_events(events, made, "", 7)]

    (last,) = run(asyncio.wait_for(follow(), 20))
    assert (last["type"], last["sequence_number"]) == ("response.in_progress", 7)


def test_code_that_swallows_a_cancel_does_not_keep_the_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(AgentHooks[Any]):
        async def on_start(self, *_: Any) -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(20)
            await asyncio.sleep(20)

    def stubborn() -> Agency:
        return Agency(Agent(name="Entry", instructions="answers", hooks=Stubborn()))

    monkeypatch.setattr("agencies.AGENCIES", {"letters": stubborn})
    service, begun = start(ANSWER_SECONDS="1"), time.monotonic()
    answer = service.handler(http_event("POST", "/v1/responses", ASK), Context(60))
    assert answer["statusCode"] == 202
    assert time.monotonic() - begun < 10


def test_without_a_queue_it_is_refused_by_name(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalQueue, "durable", False)  # as where AWS_LAMBDA_FUNCTION_NAME is set; see test_worker.py
    status, answer = service.post("/v1/responses", LATER)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "unsupported_parameter", "background")
    assert "QUEUE" in answer["error"]["message"]


def test_without_a_queue_a_run_that_died_does_not_hold_its_conversation(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalQueue, "durable", False)
    service, gate, _ = office
    conversation = service.post("/v1/conversations", {})[1]["id"]
    body = {**ASK, "conversation": conversation}

    async def dies() -> str:
        """A process ends with a run in its hands: whatever it had begun, it says no more."""
        from agency_lambda.run_service import get_run_service

        asking = asyncio.create_task(ask(service, "POST", "/v1/responses", body))
        await gate.entered.wait()
        lease = (await Leases(get_run_service().store).all())[0]
        with monkeypatch.context() as dead:
            for name in ("end", "release", "heartbeat"):
                dead.setattr(f"agency_lambda.runs.repository.RunRepository.{name}", _nothing)
            asking.cancel()
            await asyncio.wait({asking})
        return lease.id

    died = service.handler.run(dies())
    gate.open.set()
    assert service.post("/v1/responses", body)[0] == 409  # it may be alive
    monkeypatch.setattr("agency_lambda.runs.model.time.time", _clock_in(60))
    service.post("/v1/responses", body)
    assert service.respond("next", conversation=conversation)["status"] == "completed"
    failed = read(service, died)
    assert failed["status"] == "failed"
    assert failed["error"]["detail_code"] in ("given_up", "interrupted")


async def _nothing(*args: Any, **options: Any) -> None:
    raise LeaseLost


def _clock_in(seconds: float) -> Callable[[], float]:
    import time

    now = time.time
    return lambda: now() + seconds


def test_a_run_that_died_is_found_and_finished(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sends for it, its lease runs out: whoever sweeps does. What was answered is not asked again."""
    service, gate, server = office
    made = later(service, stream=None)
    sent_for(service)

    async def dies() -> None:
        from agency_lambda.run_service import get_run_service

        working = asyncio.create_task(worker.work(get_run_service(), made))
        await gate.entered.wait()
        with monkeypatch.context() as dead:
            for name in ("end", "release", "heartbeat"):
                dead.setattr(f"agency_lambda.runs.repository.RunRepository.{name}", _nothing)
            working.cancel()
            await asyncio.wait({working})

    service.handler.run(dies())
    gate.open.set()
    attempt(service, made)  # a second message: the first attempt may be alive
    assert read(service, made)["status"] == "in_progress"
    assert sweep(service) == 0
    monkeypatch.setattr("agency_lambda.runs.model.time.time", _clock_in(60))
    assert sweep(service) == 1
    assert sent_for(service) == [made]
    assert sweep(service) == 0  # it was sent for already
    asked = len(server.requests)
    attempt(service, made)
    assert read(service, made)["status"] == "completed"
    assert len(server.requests) == asked + 2 == 4
    assert gate.calls == 2  # the tool that had not finished


def sweep(service: Service) -> int:
    from agency_lambda.run_service import get_run_service

    swept: int = service.handler.run(worker.reap_expired(get_run_service()))
    return swept


def test_what_cannot_be_built_is_found_out_by_whoever_works_on_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submitting builds no agency, for that takes long on a cold environment."""

    def broken() -> Agency:
        raise RuntimeError("a defect")

    monkeypatch.setattr("agencies.AGENCIES", {"letters": broken})
    service = start()
    status, made = service.post("/v1/responses", LATER)
    assert (status, made["status"]) == (200, "queued")
    attempt(service, made["id"])
    _, ended = service.get(f"/v1/responses/{made['id']}")
    assert (ended["status"], ended["error"]["detail_code"]) == ("failed", "agency_misconfigured")
    assert "a defect" not in str(ended)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": "nobody"}, 404),
        ({"model": "letters/Nobody"}, 404),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, 400),
        ({"tools": [{"type": "function", "name": "read_subtask", "parameters": {}}] * 2}, 400),
        ({"text": {"format": {"type": "json_schema"}}}, 400),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(start: Start, fields: dict[str, Any], status: int) -> None:
    service = start()
    assert service.post("/v1/responses", {**LATER, **fields})[0] == status
    assert sent_for(service) == []
