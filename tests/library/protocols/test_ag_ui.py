"""POST /ag-ui/{agency}: the run of an agency as AG-UI has it."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from openai.types.responses.response_output_item import ImageGenerationCall

from agency_lambda import save_file
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ag_ui.items import ItemEvents
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.testing.events import Context, http_event
from tests.library.callers import api_keys, bearer
from tests.library.conftest import QUESTION, Service
from tests.library.files.forms import file_form, form_event
from tests.library.model_server import Failure, Items, ModelServer, call
from tests.library.protocols.ag_ui import AgUi, Refused
from tests.library.v1.test_background import attempt

Start = Callable[..., Service]
WEATHER = {"name": "get_weather", "description": "The weather.", "parameters": {"type": "object", "properties": {}}}
PIXEL = "iVBORw0KGgo="
IMAGE = {"type": "data", "value": PIXEL, "mime_type": "image/png"}


def one() -> Agency:
    return Agency(Agent(name="One", instructions="You are One.", model="one"))


@pytest.fixture
def desk(start: Start, monkeypatch: pytest.MonkeyPatch) -> Callable[[ModelServer], Service]:
    """desk(server): serves the agency "desk", of one agent."""
    monkeypatch.setattr("agencies.AGENCIES", {"desk": one})
    return lambda server, **more: start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, **more)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def texts(client: AgUi, role: str = "assistant") -> list[str]:
    return [message["content"] for message in client.messages if message["role"] == role and "content" in message]


def test_question_is_answered_and_shows_who_works(service: Service) -> None:
    client = AgUi(service)
    events = client.say(QUESTION, state={"open": 1})
    assert kinds(events)[:2] == ["RUN_STARTED", "STATE_SNAPSHOT"]
    assert (events[0]["protocolVersion"], events[1]["snapshot"]) == ("1.0", {"open": 1})
    steps = [event["stepName"] for event in events if event["type"] == "STEP_STARTED"]
    assert steps[0] == "Secretary"
    assert {*steps} == {"Secretary", "Registrar", "Writer"}
    assert steps[0] not in steps[1:]
    _, response = service.get(f"/v1/responses/{client.response_id}")
    assert texts(client) == [response["output"][-1]["content"][0]["text"]]
    (thoughts,) = texts(client, "reasoning")  # one message, which grows with each activity
    assert thoughts.split("\n\n")[:2] == ["Secretary asks Registrar", "Registrar uses list_tasks"]
    assert client.last["outcome"] == {"type": "success"}
    assert client.last["usage"][0]["totalTokens"] == response["usage"]["total_tokens"]
    shown = [event for event in events if event["type"] == "MESSAGES_SNAPSHOT"][-1]["messages"]
    assert shown == [each for each in client.messages if each["role"] != "reasoning"]
    old = AgUi(service, version=None)
    assert "MESSAGES_SNAPSHOT" not in kinds(old.say(QUESTION))  # it would drop the thoughts


def test_colleagues_are_subagents_for_a_client_that_knows_them(service: Service) -> None:
    events = AgUi(service).say(QUESTION)
    begun = {event["subagentRunId"]: event for event in events if event["type"] == "SUBAGENT_STARTED"}
    nested = [event for event in begun.values() if "parentSubagentRunId" in event]
    assert [begun[event["parentSubagentRunId"]]["name"] for event in nested] == ["Writer", "Writer"]
    old = AgUi(service, version=None).say(QUESTION)
    assert not [kind for kind in kinds(old) if kind.startswith("SUBAGENT")]
    assert "subagentRunId" not in json.dumps(old)


def test_names_in_snake_case_are_read(desk: Callable[..., Service]) -> None:
    messages = [
        {"id": "u", "role": "user", "content": [{"type": "image", "source": IMAGE}]},
        {"id": "a", "role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
        {"id": "t", "role": "tool", "tool_call_id": "c", "content": "seen"},
    ]
    with ModelServer(["Yes."]) as server:
        event = http_event("POST", "/ag-ui/desk", {"thread_id": "t", "run_id": "r", "messages": messages})
        answer = desk(server).handler(event, Context(60))
        assert '"threadId":"t"' in answer["body"]
    kinds = [item.get("type", item.get("role")) for item in server.requests[-1].items]
    assert kinds[-3:] == ["message", "function_call", "function_call_output"]


def test_one_agent_is_addressed(service: Service) -> None:
    client = AgUi(service, "letters/Writer")
    client.say("hello")
    assert service.get(f"/v1/responses/{client.response_id}")[1]["model"] == "letters/Writer"
    for path in ("nobody", "letters/Nobody"):
        with pytest.raises(Refused) as refused:
            AgUi(service, path).say("hello")
        assert refused.value.status == 404


def test_client_calls_its_tool_and_goes_on(desk: Callable[..., Service]) -> None:
    with ModelServer([[("get_weather", {"city": "Riga"}), ("get_weather", {"city": "Oslo"})], "Rain."]) as server:
        client = AgUi(desk(server), "desk")
        client.fields = {"tools": [WEATHER]}
        client.say("Weather?")
        (message,) = [each for each in client.messages if "toolCalls" in each]
        calls = message["toolCalls"]
        assert [json.loads(each["function"]["arguments"])["city"] for each in calls] == ["Riga", "Oslo"]
        assert client.last["outcome"] == {"type": "success", "pendingToolCallIds": [each["id"] for each in calls]}
        client.messages.append({"id": "t1", "role": "tool", "toolCallId": calls[0]["id"], "content": "wet"})
        with pytest.raises(Refused) as refused:
            client.run()
        assert calls[1]["id"] in refused.value.error["message"]
        client.messages.append(
            {"id": "t2", "role": "tool", "toolCallId": calls[1]["id"], "content": "", "error": "no sensor"}
        )
        client.run()
        assert texts(client)[-1] == "Rain."
        outputs = [item["output"] for item in server.requests[-1].items if item["type"] == "function_call_output"]
        assert outputs[0] == "wet"
        assert "Error: no sensor" in json.dumps(outputs[1])


def test_old_client_is_sent_nothing_that_it_refuses(desk: Callable[..., Service]) -> None:
    with ModelServer([call("get_weather"), "Never mind."]) as server:
        client = AgUi(desk(server), "desk", version=None)
        client.say("Weather?", tools=[WEATHER])
        assert "outcome" not in client.last  # which some take for the end of the conversation
        client.say("Never mind.")  # without the call's result
        assert "no result" in json.dumps(server.requests[-1].items)


def test_context_state_and_instructions_are_those_of_this_run(desk: Callable[..., Service]) -> None:
    with ModelServer(["Yes.", "No."]) as server:
        client = AgUi(desk(server), "desk")
        client.messages = [{"id": "s", "role": "system", "content": "Be short."}]
        client.say("Hi", context=[{"description": "page", "value": "orders"}], state={"cart": [7]})
        for told in ("You are One.", "Be short.", "page: orders", '{"cart": [7]}'):
            assert told in server.requests[-1].instructions
        client.messages[0]["content"] = "Be long."
        client.say("And now?")
        assert "Be short." not in json.dumps(server.requests[-1].body)
        assert "Be long." in server.requests[-1].instructions
        assert client.service.get(f"/v1/responses/{client.response_id}")[1]["previous_response_id"]


def test_parts_are_read_and_what_cannot_be_does_not_fail_the_run(desk: Callable[..., Service]) -> None:
    def source(value: str, kind: str = "data", mime: str = "image/png") -> dict[str, Any]:
        return {"type": kind, "value": value, "mimeType": mime}

    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image", "source": source(PIXEL)},
        {"type": "binary", "mimeType": "image/png", "data": PIXEL},
        {"type": "document", "source": source("eA==", mime="application/pdf"), "metadata": {"filename": "a.pdf"}},
        {"type": "image", "source": source("http://127.0.0.1/x.png", "url")},
        {"type": "image", "source": source("file-of-somebody", "file")},
        {"type": "audio", "source": source("eA==", mime="audio/wav")},
        {"type": "hologram", "beam": 1},
    ]
    with ModelServer(["Nice.", "Thanks."]) as server:
        client = AgUi(desk(server), "desk")
        client.say(parts)
        *_, sent = server.requests[-1].items
        shown = client.messages[0]["content"]
        assert (shown[2]["type"], shown[7]["type"]) == ("image", "text")
        image = f"data:image/png;base64,{PIXEL}"
        assert [part.get("image_url") for part in sent["content"]][1:3] == [image, image]
        assert sent["content"][3]["filename"] == "a.pdf"
        left_out = [part["text"] for part in sent["content"][4:]]
        assert [kind in text for kind, text in zip(("image", "image", "audio", "hologram"), left_out, strict=True)] == (
            [True] * 4
        )
        client.say("And?")
        assert client.service.get(f"/v1/responses/{client.response_id}")[1]["previous_response_id"]


@pytest.mark.parametrize("setting", [{}, {"LINKED_CONTENT": "1"}], ids=["refused", "allowed"])
def test_links_are_those_that_the_provider_may_read(desk: Callable[..., Service], setting: dict[str, str]) -> None:
    part = {"type": "image", "source": {"type": "url", "value": "https://images.example/a.png"}}
    with ModelServer(["Nice."]) as server:
        client = AgUi(desk(server, **setting), "desk")
        if not setting:
            with pytest.raises(Refused) as refused:
                client.say([part])
            assert refused.value.error["message"].startswith("messages[0].content[0].source.value: ")
            return
        client.say([part])
        (sent,) = server.requests[-1].items[-1]["content"]
        assert sent["image_url"] == "https://images.example/a.png"


def test_files_are_read_by_their_owner_and_missing_ones_fail_no_run(start: Start) -> None:
    service = start(API_KEYS=api_keys())
    _, file = service.send(form_event("/v1/files", file_form(b"Dear Nordwind", "a.txt"), **bearer("ann")))
    source = {"type": "file", "value": file["id"]}
    for caller, part in (("ann", {"type": "input_file", "file_id": file["id"]}), ("bob", {"type": "input_text"})):
        client = AgUi(service, **bearer(caller))
        client.say([{"type": "text", "text": "Read."}, {"type": "document", "source": source}])
        path = f"/v1/responses/{client.response_id}/input_items"
        (item,) = service.get(path, **bearer(caller))[1]["data"]
        assert part.items() <= item["content"][1].items()


def test_answer_says_in_its_metadata_what_it_cites(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    @function_tool
    async def write() -> str:
        """Save a file."""
        return (await save_file(b"a,b", "table.csv")).id

    agency = lambda: Agency(Agent(name="One", instructions="One", model="one", tools=[write]))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"desk": agency})
    with ModelServer([call("write"), "Here it is."]) as server:
        client = AgUi(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url), "desk")
        client.say("Write.")
    cited = client.messages[-1]["metadata"]["annotations"]
    assert [each["filename"] for each in cited] == ["table.csv"]


def test_unknown_members_do_not_fail_the_run(service: Service) -> None:
    client = AgUi(service)
    client.messages.append({"id": "r", "role": "reasoning", "content": "Hm.", "shade": 1})
    client.messages.append({"id": "a", "role": "activity", "activityType": "x", "content": {}})
    client.say("hello", hologram={"a": None}, forwardedProps={"any": ["thing"]}, state=None)
    assert client.last["type"] == "RUN_FINISHED"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"messages": [{"id": "1", "role": "user", "content": "x"}] * (bounds.HISTORY_ITEMS + 1)}, "messages"),
        ({"messages": [{"id": "1", "role": "user", "content": "x"}] * (bounds.ITEMS + 1)}, "messages: there are"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"id": 1, "role": "user", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"id": "1", "role": "villain", "content": "x"}]}, "messages[0]"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"tools": [WEATHER] * (bounds.TOOLS + 1)}, "tools"),
        ({"tools": [{**WEATHER, "name": "no name"}]}, "tools[0].name"),
        ({"tools": [{**WEATHER, "parameters": [1]}]}, "tools[0].parameters"),
        ({"context": [{"description": "x"}]}, "context[0].value"),
        ({"threadId": "x" * 257}, "threadId"),
        ({"threadId": ""}, "threadId"),
        ({"runId": None}, "runId"),
        ({"resume": [{"interruptId": "x", "status": "maybe"}]}, "resume[0].status"),
        ({"state": "\ud800"}, "state: has half of a surrogate"),
        ({"state": {"a": [1, float("nan")]}}, "state.a[1]: NaN"),
        ({"state": "x" * bounds.WITHOUT_OUTPUT}, "instructions"),
        ({"messages": [{"id": "1", "role": "tool", "toolCallId": "c", "content": "x"}]}, "messages[0].toolCallId: "),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(service: Service, fields: dict[str, Any], told: str) -> None:
    client = AgUi(service)
    client.messages = [{"id": "u", "role": "user", "content": "hello"}]
    with pytest.raises(Refused) as refused:
        client.run(**fields)
    assert refused.value.status in (400, 422)
    message = refused.value.error["message"]
    assert (told in message, "input[" in message) == (True, False)


def test_failure_in_the_middle_ends_the_run_with_its_code(desk: Callable[..., Service]) -> None:
    with ModelServer(lambda request: Failure(200, after=4)) as server:
        client = AgUi(desk(server), "desk")
        client.say("hello")
        assert (client.last["type"], client.last["code"]) == ("RUN_ERROR", "upstream_failed")
        server.answer = lambda request: "Here I am."
        client.say("Still there?")
        assert texts(client)[-1] == "Here I am."


def test_run_that_was_cut_short_is_no_success(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    @function_tool
    def again() -> str:
        """Again."""
        return "again"

    agency = lambda: Agency(Agent(name="One", instructions="One", model="one", tools=[again]))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"desk": agency})
    with ModelServer(lambda request: call("again")) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, MAX_OUTPUT_TOKENS="40")
        client = AgUi(service, "desk")
        client.say("hello")
        assert client.last["outcome"] == {"type": "cancelled"}
        assert client.last["metadata"]["reason"] == "max_output_tokens"
        old = AgUi(service, "desk", version=None)
        old.say("hello")
        assert (old.last["type"], old.last["code"]) == ("RUN_ERROR", "max_output_tokens")


@pytest.mark.parametrize("version", ["1.0", None])
def test_same_run_again_is_the_same_run(service: Service, version: str | None) -> None:
    client = AgUi(service, version=version)
    client.say("hello", runId="mine")
    made, whole = client.response_id, copy.deepcopy(client.messages)
    for message in client.messages[1:]:  # as if the stream had broken off
        message["content"] = message["content"][:30]
    again = client.run(runId="mine")
    assert (client.response_id, client.messages) == (made, whole)
    assert kinds(again)[:2] == ["RUN_STARTED", "MESSAGES_SNAPSHOT"]
    client.run(runId="mine")  # as if only the end of the stream had not come
    assert (client.response_id, client.messages) == (made, whole)
    client.say("and now?", runId="mine")  # a client that never makes a new one
    assert client.response_id != made
    assert len(texts(client)) == len(texts(client, "user")) == 2


@pytest.mark.parametrize(("characters", "count"), [(400_000, 1), (1_000_000, 0)])
def test_more_than_a_megabyte_of_messages_is_not_sent_back(
    desk: Callable[..., Service], characters: int, count: int
) -> None:
    with ModelServer(["Nice."]) as server:
        client = AgUi(desk(server), "desk")
        assert kinds(client.say("x" * characters)).count("MESSAGES_SNAPSHOT") == count


def test_run_that_outlives_its_stream_is_followed(desk: Callable[..., Service]) -> None:
    with ModelServer(lambda request: "Done at last.", delay=4.5) as server:
        client = AgUi(desk(server), "desk")
        client.seconds = 4
        client.say("hello", runId="long")
        assert (client.last["type"], client.last["code"]) == ("RUN_ERROR", "in_progress")
        assert client.last["metadata"]["resume"].startswith(f"/v1/responses/{client.response_id}?stream=true")
        server.delay = 0
        attempt(client.service, client.response_id)
        client.seconds = 60
        client.run(runId="long")
        assert texts(client) == ["Done at last."]
        assert client.last["outcome"] == {"type": "success"}


def test_cancelled_run_ends_as_that(desk: Callable[..., Service]) -> None:
    with ModelServer(lambda request: "Done.", delay=4.5) as server:
        client = AgUi(desk(server), "desk")
        client.seconds = 4
        client.say("hello", runId="long")
        assert client.service.post(f"/v1/responses/{client.response_id}/cancel", None)[0] in (200, 202)
        attempt(client.service, client.response_id)
        client.run(runId="long")
        assert client.last["outcome"] == {"type": "cancelled"}


def test_images_that_agents_make_are_activities(desk: Callable[..., Service]) -> None:
    image = ImageGenerationCall(type="image_generation_call", id="ig_1", status="completed", result=PIXEL)
    with ModelServer([Items([image])]) as server:
        events = AgUi(desk(server), "desk").say("Draw.")
    (activity,) = [event for event in events if event["type"] == "ACTIVITY_SNAPSHOT"]
    assert (activity["activityType"], activity["content"]["result"]) == ("image_generation_call", PIXEL)


def test_another_owners_thread_is_unknown(start: Start) -> None:
    service = start(API_KEYS=api_keys())
    ann, bob = AgUi(service, **bearer("ann")), AgUi(service, **bearer("bob"))
    ann.say("hello", runId="same")
    bob.thread, bob.messages = ann.thread, [*ann.messages]
    bob.say("again", runId="other")
    assert service.get(f"/v1/responses/{bob.response_id}", **bearer("bob"))[1]["previous_response_id"] is None
    bob.messages = [*ann.messages][:1]
    bob.run(runId="same")
    assert bob.response_id != ann.response_id
    assert service.get(f"/v1/responses/{bob.response_id}", **bearer("ann"))[0] == 404


def test_parts_of_a_summary_are_paragraphs_and_sent_once() -> None:
    events: list[dict[str, Any]] = []
    output = OutputBuilder(lambda kind, **fields: events.append({"type": kind, **fields}), "resp_1")
    thinks = {"type": "reasoning", "agent": "One"}
    output.add({**thinks, "summary": [{"type": "summary_text", "text": text} for text in ("First.", "Second.")]}, "1")
    output.add({**thinks, "summary": [{"type": "summary_text", "text": "Third."}]}, "2")
    items = ItemEvents("resp_1", [], is_current=True)
    sent = [each.get("delta", "") for event in events for each in items.translate(event)]
    assert "".join(sent) == items.messages[0]["content"] == "First.\n\nSecond.\n\nThird."
