"""`make trace` draws a run in a terminal of 100 columns."""

import importlib.util
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from agency_swarm import Agency, Agent

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.runs import worker
from tests.library.models.agencies import office
from tests.library.paths import ROOT
from tests.library.record.swarm import begun, service, swarm, trace_of, worked
from tests.library.record.views import nodes, play, traced

SPEC = importlib.util.spec_from_file_location("trace_script", ROOT / "scripts" / "trace.py")
assert SPEC
assert SPEC.loader
script: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def test_picture_has_every_call_its_tokens_price_and_a_bar() -> None:
    trace, response = traced(office, price=lambda model, usage: 1_000)
    head, titles, *lines = script.drawn(trace)
    assert response["id"] in head
    assert max(map(len, (head, titles, *lines))) <= 100
    calls = [line for line in lines if "asks offline" in line]
    assert len(calls) == response["usage"]["model_calls"]
    assert all("█" in line and "0.0010" in line for line in calls)
    assert lines[0].split()[-1].count("█") == script._BAR
    assert [line.split("-> ")[1].split()[0] for line in lines if "-> " in line] == ["Planner", "Writer", "Planner"]
    assert sum("CreateTask" in line for line in lines) == 2


def test_what_was_replayed_failed_or_is_pending_is_marked() -> None:
    trace, _ = traced(office)
    first, second, third = trace["root"]["children"][:3]
    first |= {"replayed": True, "attempt": 2}
    second["status"], third["status"], third["ended_at"] = "failed", "in_progress", None
    trace["root"]["ended_at"] = None
    lines = [*script.drawn(trace)]
    assert "[replayed (attempt 2)]" in lines[3]
    assert "-> Planner [failed]" in lines[4]
    assert any("[pending]" in line and "█" in line for line in lines)
    assert "No price is known" in lines[-1]


def test_a_refusal_ends_a_call_and_no_mark_is_cut() -> None:
    trace, _ = traced(office)
    refused, made = [node for node in trace["root"]["children"] if node["type"] == "message"][:2]
    refused |= {"status": "incomplete", "approvals": [{"status": "refused", "decided_by": "local"}]}
    made |= {"approvals": [{"status": "approved", "decided_by": "eve@example.com"}], "replayed": True, "attempt": 2}
    lines = [*script.drawn(trace)]
    assert any("[refused by local] " in line for line in lines)
    (number,) = [
        n for n, line in enumerate(lines) if line.endswith("[approved by eve@example.com, replayed (attempt 2)]")
    ]
    assert lines[number + 1].startswith("│ ")
    assert "█" in lines[number + 1]
    assert max(map(len, lines)) <= 100


def test_run_without_times_is_drawn_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    trace, _ = traced(office)

    def forget(node: dict[str, Any]) -> None:
        node |= {"started_at": None, "ended_at": None, "replayed": None, "attempt": None}
        for child in node["children"]:
            forget(child)

    forget(trace["root"])
    assert len([*script.drawn(trace)]) > 11
    monkeypatch.delenv("RUN", raising=False)
    with pytest.raises(SystemExit, match="No run named"):
        script.main()


def test_caller_who_is_no_operator_gets_the_own_trace() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_admin = request.url.path.startswith("/v1/admin/")
        return httpx.Response(403 if is_admin else 200, json={"path": request.url.path})

    with httpx.Client(base_url="http://127.0.0.1", transport=httpx.MockTransport(answer)) as client:
        assert script._fetch(client, "resp_1") == {"path": "/v1/responses/resp_1/trace"}


def test_messages_of_other_runs_name_them_and_what_became_of_them() -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            root = await begun(runs)
            await worked(runs, 4)
            head, _, *waiting = script.drawn(await trace_of(runs, root))
            assert "  waits for agents  1 attempt" in head
            first, second = [node["run"]["response_id"] for node in nodes(await trace_of(runs, root), "message")[::2]]
            assert f"└ -> Helper [waits for agents, {second}]" in waiting
            assert any("-> Deep [queued, resp_" in line for line in waiting)
            await runs.cancel("owner", first)
            await worked(runs)
            lines = [*script.drawn(await trace_of(runs, root))]
            assert f"├ -> Helper [cancelled, {first}]" in lines
            assert f"├ -> Helper [2 attempts, {second}]" in lines
            await runs.delete("owner", first)
            assert f"├ -> Helper [deleted, {first}]" in [*script.drawn(await trace_of(runs, root))]

    play(whole)


@pytest.mark.parametrize(
    ("is_gone", "mark"), [(True, "failed, agency_misconfigured"), (False, "cancelled, deadline_exceeded")]
)
def test_message_without_an_answer_says_why(is_gone: bool, mark: str) -> None:
    made: list[Callable[[], Agency]] = [swarm]
    alone = Agent(name="Boss", instructions=".", model=OfflineModel("Boss", lambda turn: "alone"))

    async def whole(store: str) -> None:
        async with service(store, make=lambda: made[-1](), message_seconds=100 if is_gone else 0.001) as runs:
            root = await begun(runs)
            await worked(runs, 1)
            if is_gone:
                made.append(lambda: Agency(alone))
            else:
                await worker.sweep(runs)
            await worked(runs)
            lines = [line for line in script.drawn(await trace_of(runs, root)) if "-> Helper" in line]
            assert all(f"-> Helper [{mark}, resp_" in line for line in lines[:2])

    play(whole)
