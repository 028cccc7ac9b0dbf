"""What callers and operators see of runs that answer messages: everything by id, nothing in lists, costs once."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.prices import load
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.queue.messages import Export
from agency_lambda.record import export
from agency_lambda.record.index_pages import PageQuery
from agency_lambda.record.run_list import RunFilter, list_runs
from agency_lambda.record.spans import build_spans
from agency_lambda.record.usage import UsageQuery, sum_usage
from agency_lambda.runs import service as run_service
from agency_lambda.runs.stored_responses import Responses
from scripts.runs import _row
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.record.collector import collector, tree
from tests.library.record.swarm import begun, ended, service, swarm, trace_of, worked
from tests.library.record.test_run_list import Counting
from tests.library.record.views import nodes, play

_EVER = 9 * 10**9


@pytest.fixture
def served(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> tuple[Service, str, str]:
    """Returns a service, and the ids of Ann's run and of the first one that has answered a message for it."""
    from agency_lambda.run_service import get_run_service

    monkeypatch.setattr("agencies.AGENCIES", {"desk": {"create_agency": swarm}})
    at = start(API_KEYS=api_keys(), AGENT_MESSAGES="queue")

    async def begin() -> str:
        body = {"model": "desk", "input": "Go.", "background": True, "instructions": "SECRET", "metadata": {"a": "b"}}
        made = await get_run_service().create(CreateResponse.model_validate(body), "ann")
        await worked(get_run_service())
        return str(made.response["id"])

    root = at.handler.run(begin())
    trace = at.get(f"/v1/responses/{root}/trace", **bearer("ann"))[1]
    return at, root, trace["root"]["children"][1]["run"]["response_id"]


def test_response_says_whose_message_it_answers_and_has_no_contents(served: tuple[Service, str, str]) -> None:
    at, root, child = served
    status, response = at.get(f"/v1/responses/{child}", **bearer("ann"))
    assert (status, response["status"], response["model"], response["metadata"]) == (
        200,
        "completed",
        "desk",
        {"a": "b"},
    )
    assert (response["sent_by"], response["root_response_id"]) == (root, root)
    assert {item["type"] for item in response["output"]} == {"reasoning"}
    assert "SECRET" not in json.dumps(response)
    assert "sent_by" not in at.get(f"/v1/responses/{root}", **bearer("ann"))[1]
    assert at.get(f"/v1/responses/{child}/input_items", **bearer("ann"))[1]["data"] == []


def test_response_that_answers_a_message_cannot_be_continued(served: tuple[Service, str, str]) -> None:
    at, root, child = served
    asked = {"model": "desk", "input": "x", "previous_response_id": child}
    status, body = at.post("/v1/responses", asked, **bearer("ann"))
    assert (status, body["error"]["param"]) == (400, "previous_response_id")
    assert root in body["error"]["message"]


def test_lists_leave_it_out_and_an_id_finds_it(served: tuple[Service, str, str]) -> None:
    at, root, child = served
    for path, caller in (("/v1/responses", "ann"), ("/v1/admin/responses", "eve")):
        assert [each["id"] for each in at.get(path, **bearer(caller))[1]["data"]] == [root]
    assert at.get(f"/v1/responses/{child}", **bearer("bob"))[0] == 404
    assert at.get(f"/v1/admin/responses/{child}", **bearer("eve"))[1]["owner"] == "ann"
    trace = at.get(f"/v1/admin/responses/{child}/trace", **bearer("eve"))[1]
    assert (trace["owner"], trace["sent_by"], trace["contents"]) == ("ann", root, "included")


@pytest.mark.parametrize("foreground", [False, True])
def test_usage_has_each_call_once_with_either_transport(foreground: bool) -> None:
    async def whole(store: str, transport: str) -> Any:
        async with service(store, transport, answer_seconds=0.1) as runs:
            if foreground:
                await runs.answer(await runs.create(_FOREGROUND, "owner"))  # type: ignore[arg-type]
                await worked(runs)
            else:
                await ended(runs)
            query = UsageQuery(group_by="model", since=0, until=_EVER)
            (by_model,) = (await sum_usage(runs.store, ["owner"], query, _PRICES))["data"]
            (listed,) = (await list_runs(runs.store, ["owner"], PageQuery(limit=100), RunFilter()))["data"]
            return by_model, {name: value for name, value in listed["usage"].items() if name != "replayed_calls"}

    by_queue, in_process = (play(lambda store: whole(store, each)) for each in ("queue", "memory"))  # noqa: B023
    assert by_queue == in_process
    assert (by_queue[0]["runs"], by_queue[0]["model_calls"], by_queue[0]["usd"] > 0) == (1, 15, True)


def test_list_shows_what_a_run_waits_for_and_reads_nothing_for_others() -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            await ended(runs)
            root, seen = await begun(runs), []
            for attempts in (0, 1, 1, 1, 100):
                await worked(runs, attempts)
                counting: Any = Counting(runs.store)
                page = await list_runs(counting, ["owner"], PageQuery(limit=100), RunFilter())
                run = next(each for each in page["data"] if each["id"] == root)
                shown = {name: run[name] for name in ("waits_for", "open_messages") if name in run}
                seen.append((run["status"], shown, _row(run)["status"], counting.calls))
            waits = ("in_progress", {"waits_for": "agents", "open_messages": 2}, "waits (2)", 4)
            assert seen == [("queued", {}, "queued", 2), waits, waits, waits, ("completed", {}, "completed", 1)]

    play(whole)


_FOREGROUND = CreateResponse.model_validate({"model": "desk", "input": "Go."})
_PRICES = load()


def test_spans_of_all_runs_are_one_trace_that_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_service, "_EXPORT_DELAY", 0.0)

    async def whole(store: str, transport: str, url: str) -> Any:
        async with service(store, transport, otel_exporter_otlp_endpoint=url) as runs:
            monkeypatch.setattr(export, "get_settings", lambda: runs.preparation._settings)
            root = await begun(runs)
            sent = await worked(runs)
            assert [(each.run, type(each)) for each in sent] == [(root, Export)]
            await export.export_run(runs.store, sent[0])
            response = (await Responses(runs.store, "owner").get(root)).response
            return root, build_spans(await trace_of(runs, root), response, "owner")

    trees = []
    for transport in ("queue", "memory"):
        with collector() as receiver:
            root, built = play(lambda store: whole(store, transport, receiver.url))  # noqa: B023
            spans = receiver.spans()
        assert {span["trace"] for span in spans} == {root.removeprefix("resp_")}
        assert len(spans) == len(built) == len({span["id"] for span in spans})
        trees.append(tree(spans))
        by_run = [span["attributes"].get("agency_lambda.message.response_id") for span in spans]
        assert len({*by_run} - {None}) == (6 if transport == "queue" else 0)
    assert trees[0] == trees[1]


def test_large_swarm_is_exported_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_MOST_SPANS", 10)

    async def whole(store: str, url: str) -> int:
        async with service(store, otel_exporter_otlp_endpoint=url) as runs:
            monkeypatch.setattr(export, "get_settings", lambda: runs.preparation._settings)
            root = await ended(runs)
            await export.export_run(runs.store, Export(run=root, owner="owner", queued_at=0.0))
            response = (await Responses(runs.store, "owner").get(root)).response
            return len(build_spans(await trace_of(runs, root), response, "owner"))

    with collector() as receiver:
        spans = play(lambda store: whole(store, receiver.url))
        assert len(receiver.received) == -(-spans // 10) > 1
        assert len({span["id"] for span in receiver.spans()}) == spans


def test_log_lines_name_root_sender_and_recipient(capsys: pytest.CaptureFixture[str]) -> None:
    async def whole(store: str) -> Any:
        async with service(store) as runs:
            root = await ended(runs)
            message = nodes(await trace_of(runs, root), "message")[0]
            return root, message["run"]["response_id"], message["children"][0]["children"][1]["run"]["response_id"]

    root, helper, deep = play(whole)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    first = {line["response_id"]: line for line in reversed(lines)}
    assert (first[root]["agent"], first[root]["agent_messages"], first[root].get("sent_by")) == ("Boss", 2, None)
    assert [
        (first[each]["agent"], first[each]["sent_by"], first[each]["root_response_id"]) for each in (helper, deep)
    ] == [
        ("Helper", root, root),
        ("Deep", helper, root),
    ]
    assert "agent_messages" not in first[deep]
    last = {line["response_id"]: line["run_status"] for line in lines if "run_status" in line}
    assert (len(last), {*last.values()}, "run_status" in first[root]) == (7, {"completed"}, False)
    assert sum(line.get("AgentMessages", [0])[0] for line in lines) == 6


def test_log_line_of_a_run_whose_agents_are_gone_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    made: list[Callable[[], Agency]] = [swarm]

    async def whole(store: str) -> Any:
        async with service(store, make=lambda: made[-1]()) as runs:
            root = await begun(runs)
            await worked(runs, most=1)
            alone = OfflineModel("Boss", lambda turn: "alone")
            made.append(lambda: Agency(Agent(name="Boss", instructions=".", model=alone)))
            await worked(runs)
            return root

    root = play(whole)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    told = {line["response_id"]: (line["run_status"], line.get("error_code")) for line in lines if "run_status" in line}
    assert told.pop(root) == ("completed", None)
    assert [*told.values()] == [("failed", "agency_misconfigured")] * 2
