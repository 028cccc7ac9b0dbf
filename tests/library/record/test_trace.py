"""A trace is the tree of what was done: who asked whom, when, at which price, and in which attempt."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from agency_swarm import Agency, Agent, Handoff, function_tool

from agency_lambda.errors import AttemptsExhausted, NotFound
from agency_lambda.framework.models import selection
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.record import nodes as tree
from agency_lambda.record.trace import TraceOptions, load_trace
from agency_lambda.runs import worker
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import OutcomeUncertain
from agency_lambda.store import Delete, Put
from tests.library.history.test_sorted_failures import failing, worked
from tests.library.model_server import ModelServer, call
from tests.library.models import callers
from tests.library.models.agencies import office, settings, single
from tests.library.record.views import Node, nodes, outline, play, traced
from tests.library.runs.stage import begin, on_stage, told
from tests.library.runs.test_identity import send
from tests.library.runs.test_journal import Thinks

PLANNER = ("agent Planner", ["Planner?", "tool CreateTask", "Planner?", "tool read_task", "Planner?"])
FLOW = (
    "agent Manager",
    [
        "Manager?",
        ("message Planner", [PLANNER]),
        "Manager?",
        ("message Writer", [("agent Writer", ["Writer?", ("message Planner", [PLANNER]), "Writer?"])]),
        "Manager?",
    ],
)


@pytest.fixture(autouse=True)
def without_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_RETRIES", 0)


def test_the_flow_is_a_tree_of_agents_calls_tools_and_messages() -> None:
    trace, response = traced(office)
    assert outline(trace["root"]) == FLOW
    assert (trace["object"], trace["response_id"], trace["status"]) == ("trace", response["id"], "completed")
    assert (trace["attempts"], trace["usage"], trace["usd"]) == (1, response["usage"], None)
    assert trace["usage"]["replayed_calls"] == 0
    calls = nodes(trace, "model_call")
    for name in ("input_tokens", "output_tokens"):
        assert trace["root"][name] == sum(node[name] for node in calls) == response["usage"][name]
    assert {node["model"] for node in calls} == {"offline"}
    assert {node["status"] for node in [*calls, *nodes(trace, "tool_call"), *nodes(trace, "message")]} == {"completed"}


def test_times_are_those_of_the_calls_and_enclose_what_is_below() -> None:
    trace, response = traced(office)
    timed = [node for kind in ("model_call", "tool_call") for node in nodes(trace, kind)]
    assert all(response["created_at"] <= node["started_at"] <= node["ended_at"] for node in timed)

    def check(node: Node) -> None:
        for child in node["children"]:
            assert node["started_at"] <= child["started_at"] <= child["ended_at"] <= node["ended_at"]
            check(child)

    check(trace["root"])


def test_price_is_that_of_the_calls_and_of_all_below_and_unknown_if_one_is() -> None:
    trace, _ = traced(office, price=lambda model, usage: 2_000_000 if model == "offline" else None)
    calls = nodes(trace, "model_call")
    assert {node["usd"] for node in calls} == {2.0}
    assert trace["usd"] == trace["root"]["usd"] == 2.0 * len(calls)
    assert nodes(trace, "message")[0]["usd"] == 6.0
    unknown, _ = traced(office, price=lambda model, usage: None if usage["input_tokens"] == 20 else 1)
    assert (unknown["usd"], nodes(unknown, "message")[0]["usd"]) == (None, 3e-06)


def judged_and_nested(make: Callable[[], Agency]) -> Any:
    return outline(traced(make, input="Ask.")[0]["root"])


def test_judges_and_agents_in_tools_are_where_they_are_asked() -> None:
    other = ("agent Other", ["Other?"])
    assert judged_and_nested(callers.judge_of_output) == ("agent Boss", ["Boss?", other])
    name, children = judged_and_nested(callers.judge_of_input)
    assert (name, sorted(map(str, children))) == ("agent Boss", sorted(["Boss?", str(other)]))
    for make in (callers.as_tool, callers.nested_agency, callers.nested_agency_at_the_top, callers.runner):
        assert judged_and_nested(make) == ("agent Boss", ["Boss?", ("tool consult", [other]), "Boss?"]), make


def team() -> Agency:
    boss, ann, bob = (Agent(name=name, instructions=name, model="one") for name in ("Boss", "Ann", "Bob"))
    return Agency(boss, communication_flows=[boss > ann, boss > bob])


def test_parallel_colleagues_are_siblings() -> None:
    def answer(request: Any) -> Any:
        if not request.instructions.startswith("Boss"):
            return "Done."
        return [*send("Ann"), *send("Bob")] if len(request.items) == 1 else "All is done."

    trace, _ = traced(team, answer)
    asked = [(f"message {name}", [(f"agent {name}", [f"{name}?"])]) for name in ("Ann", "Bob")]
    assert outline(trace["root"]) == ("agent Boss", ["Boss?", *asked, "Boss?"])


def test_agent_behind_a_handoff_is_a_child_of_whom_it_took_over_from() -> None:
    def handing() -> Agency:
        boss, ann = (Agent(name=name, instructions=name, model="one") for name in ("Boss", "Ann"))
        return Agency(boss, communication_flows=[(boss > ann, Handoff)])

    trace, _ = traced(handing, [call("transfer_to_Ann"), "Done."])
    assert outline(trace["root"]) == ("agent Boss", ["Boss?", "tool transfer_to_Ann", ("agent Ann", ["Ann?"])])
    assert nodes(trace, "tool_call")[0]["status"] == "completed"


def looking() -> Agency:
    @function_tool
    async def look_up() -> str:
        """Looks something up."""
        return "found"

    return single(model="one", tools=[look_up])


@pytest.mark.parametrize("stream", [False, True])
def test_resumed_run_says_which_attempt_paid_for_what(stream: bool) -> None:
    answers = [call("look_up"), failing(503), call("look_up"), failing(503), "Done."]

    async def whole(store: str, url: str) -> Any:
        async with on_stage(looking, settings(url, store=store)) as runs:
            _, response, _ = await worked(runs, stream)
            return response, await load_trace(runs.store, "owner", response["id"], TraceOptions())

    with ModelServer(answers) as server:
        response, trace = play(lambda store: whole(store, server.base_url))
    found = [(node["attempt"], node["replayed"]) for node in trace["root"]["children"]]
    assert found == [(1, True), (1, True), (2, True), (2, True), (3, False)]
    assert (trace["attempts"], response["usage"]["model_calls"]) == (3, 3)
    assert response["usage"]["replayed_calls"] == 2


def test_run_whose_last_attempt_found_every_answer_has_replayed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dies(*args: Any) -> None:
        raise OutcomeUncertain

    async def whole(store: str) -> Any:
        async with on_stage(office, settings(key=None, store=store)) as runs:
            run = await begin(runs, store=True, stream=False)
            with monkeypatch.context() as at_the_end:
                at_the_end.setattr(RunRepository, "end", dies)
                await told(run)
            lease = await Leases(runs.store).find(run.response["id"])
            assert lease
            await runs.store.write(lease.put(until=0.0))
            await worker.work(runs, run.response["id"])
            return await load_trace(runs.store, "owner", run.response["id"], TraceOptions())

    trace = play(whole)
    assert outline(trace["root"]) == FLOW
    assert (trace["attempts"], trace["usage"]["replayed_calls"]) == (2, 11)
    assert all(node["replayed"] for node in nodes(trace, "model_call"))


def test_running_run_shows_what_is_pending_and_then_that_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.runs.heartbeat.FLUSH", 0.01)
    monkeypatch.setattr("agency_lambda.runs.heartbeat.RENEW", 0.01)

    async def whole(store: str) -> Any:
        model = Thinks()
        async with on_stage(lambda: single(model=model), settings(key=None, store=store)) as runs:
            run = await begin(runs, store=True, stream=False)
            before = await load_trace(runs.store, "owner", run.response["id"], TraceOptions())
            running = asyncio.create_task(run.execute())
            await model.asked.wait()
            for _ in range(500):  # until a heartbeat has written it
                during = await load_trace(runs.store, "owner", run.response["id"], TraceOptions())
                if during["root"]["children"]:
                    break
                await asyncio.sleep(0.01)
            await runs.cancel("owner", run.response["id"])
            with suppress(Exception):
                await running
            return before, during, await load_trace(runs.store, "owner", run.response["id"], TraceOptions())

    before, during, after = play(whole)
    assert (before["status"], before["root"]["children"], before["attempts"]) == ("in_progress", [], 1)
    assert (before["root"]["name"], during["root"]["name"]) == (None, "Solo")  # before a call nobody knows it
    assert (before["root"]["ended_at"], during["root"]["ended_at"]) == (None, None)
    assert (before["ended_at"], during["ended_at"], after["completed_at"]) == (None, None, None)
    assert after["created_at"] <= after["ended_at"] <= time.time()
    (pending,) = during["root"]["children"]
    assert (pending["agent"], pending["model"], pending["status"]) == ("Solo", "Thinks", "in_progress")
    assert (pending["replayed"], pending["ended_at"], during["usage"]["model_calls"]) == (False, None, 0)
    (interrupted,) = after["root"]["children"]
    assert (after["status"], interrupted["status"]) == ("cancelled", "incomplete")


def test_failed_call_that_a_run_went_on_from_is_shown() -> None:
    def answer(request: Any) -> Any:
        if request.instructions.startswith("Ann"):
            return failing(401)
        return [*send("Ann")] if len(request.items) == 1 else "Ann does not answer."

    trace, response = traced(team, answer)
    message = ("message Ann", [("agent Ann", ["Ann?"])])
    assert outline(trace["root"]) == ("agent Boss", ["Boss?", message, "Boss?"])
    assert response["status"] == "completed"
    assert [node["status"] for node in nodes(trace, "model_call")] == ["completed", "failed", "completed"]
    assert nodes(trace, "message")[0]["status"] == "failed"


def test_message_that_was_refused_has_failed() -> None:
    def circle() -> Agency:
        boss, ann = (Agent(name=name, instructions=name, model="one") for name in ("Boss", "Ann"))
        return Agency(boss, communication_flows=[boss > ann, ann > boss])

    def answer(request: Any) -> Any:
        other = "Boss" if request.instructions.startswith("Ann") else "Ann"
        return "Done." if any("output" in str(item.get("type")) for item in request.items) else send(other)

    trace, _ = traced(circle, answer)
    refused = ("message Boss", [("agent Boss", ["Boss?", "message send_message", "Boss?"])])
    asked = ("message Ann", [("agent Ann", ["Ann?", refused, "Ann?"])])
    assert outline(trace["root"]) == ("agent Boss", ["Boss?", asked, "Boss?"])
    assert [(node["status"], len(node["children"])) for node in nodes(trace, "message")] == [
        ("completed", 1),
        ("completed", 1),
        ("failed", 0),
    ]


def test_what_goes_on_has_no_end_and_neither_has_what_is_around_it() -> None:
    over, going = ({**tree.message("Boss", name, []), "started_at": 1.0, "ended_at": 2.0} for name in ("Ann", "Bob"))
    going["status"] = "in_progress"
    root = tree.summed(tree.agent("Boss", [going, over], None))
    assert [(each["status"], each["ended_at"]) for each in (root, going, over)] == [
        ("in_progress", None),
        ("in_progress", None),
        ("completed", 2.0),
    ]


NEW = ("agent", "model", "started_at", "ended_at", "attempt", "instructions_digest", "instructions", "tool")


@pytest.mark.parametrize("has_parents", [True, False])
def test_run_that_the_version_before_has_stored_has_a_trace(has_parents: bool) -> None:
    async def whole(store: str) -> Any:
        async with on_stage(office, settings(key=None, store=store)) as runs:
            run = await begin(runs, store=True, stream=False)
            await told(run)
            partition = response_partition("owner", run.response["id"])
            for record in await runs.store.query(partition, after="journal/", before="journal0"):
                dropped = NEW if has_parents else (*NEW, "within")
                body = {name: value for name, value in record.body.items() if name not in dropped}
                await runs.store.write(Put(partition, record.sort, body, record.expires))
            return run.response, await load_trace(runs.store, "owner", run.response["id"], TraceOptions())

    response, trace = play(whole)
    calls = nodes(trace, "model_call")
    assert len(calls) == response["usage"]["model_calls"] == 11
    assert trace["root"]["input_tokens"] == response["usage"]["input_tokens"]
    assert {(node["attempt"], node["replayed"], node["started_at"]) for node in calls} == {(None, None, None)}
    assert all(abs(node["ended_at"] - response["created_at"]) < 20 for node in calls)
    if has_parents:
        assert {node["agent"] for node in nodes(trace, "agent")} == {"Manager", "Planner", "Writer"}
        assert sorted(node["name"] for node in nodes(trace, "message")) == ["Planner", "Planner", "Writer"]


def test_row_whose_answer_was_deleted_is_not_lost() -> None:
    async def whole(store: str) -> Any:
        async with on_stage(office, settings(key=None, store=store)) as runs:
            run = await begin(runs, store=True, stream=False)
            await told(run)
            partition = response_partition("owner", run.response["id"])
            records = await runs.store.query(partition, after="journal/model/", before="journal/model0")
            asking = min((each for each in records if not each.body["within"]), key=lambda r: r.body["started_at"])
            await runs.store.write(Delete(partition, asking.sort))
            return await load_trace(runs.store, "owner", run.response["id"], TraceOptions())

    trace = play(whole)
    assert len(nodes(trace, "model_call")) == 10
    assert len(nodes(trace, "tool_call")) == 4


def test_trace_is_the_owners_and_gone_with_the_run() -> None:
    async def whole(store: str) -> None:
        async with on_stage(office, settings(key=None, store=store)) as runs:
            run = await begin(runs, store=True, stream=False)
            await told(run)
            with pytest.raises(NotFound):
                await load_trace(runs.store, "another", run.response["id"], TraceOptions())
            await runs.delete("owner", run.response["id"])
            with pytest.raises(NotFound):
                await load_trace(runs.store, "owner", run.response["id"], TraceOptions())

    play(whole)


def test_given_up_run_shows_what_its_attempts_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.runs.resuming.MOST_ATTEMPTS", 1)

    async def whole(store: str, url: str) -> Any:
        async with on_stage(looking, settings(url, store=store)) as runs:
            asked = {"model": "desk", "input": "Go.", "background": True}
            queued = await runs.create(CreateResponse.model_validate(asked), "owner")
            for _ in range(2):
                with suppress(AttemptsExhausted):
                    await worker.work(runs, queued.response["id"])
            (entry,) = await runs.store.query("owner/runs")
            found = await load_trace(runs.store, "owner", queued.response["id"], TraceOptions())
            return found, entry.body["by_model"]

    with ModelServer([call("look_up"), failing(503)]) as server:
        trace, by_model = play(lambda store: whole(store, server.base_url))
        tokens = server.tokens
    assert (trace["usage"]["model_calls"], trace["usage"]["input_tokens"]) == (1, tokens[0])
    assert (by_model["one"]["model_calls"], by_model["one"]["output_tokens"]) == (1, tokens[1])
    assert (trace["status"], outline(trace["root"])) == ("failed", ("agent Solo", ["Solo?", "tool look_up", "Solo?"]))
    assert [node["status"] for node in trace["root"]["children"]] == ["completed", "completed", "incomplete"]
