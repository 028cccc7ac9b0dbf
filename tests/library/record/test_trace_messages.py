"""The trace of a run whose messages other runs answer is that of one in one process, and says which run did what."""

from typing import Any

import pytest

from agency_lambda.errors import NotFound
from agency_lambda.protocol import bounds
from agency_lambda.record import run_record
from agency_lambda.record.nodes import walk
from tests.library.record.swarm import begun, ended, service, swarm, trace_of, worked
from tests.library.record.views import Node, nodes, outline, play

_OF_TRANSPORTS = ("attempt", "replayed", "started_at", "ended_at", "run", "children")
HELPER = ("agent Helper", ["Helper?", ("message Deep", [("agent Deep", ["Deep?"])]), "Helper?", "tool work", "Helper?"])
HELPERS = [("message Helper", [HELPER])]
BOSS = ("agent Boss", ["Boss?", *HELPERS, *HELPERS, "Boss?", *HELPERS, "Boss?"])


def shape(node: Node) -> Any:
    """A node without what depends on when and where it was done."""
    own = {name: value for name, value in node.items() if name not in _OF_TRANSPORTS}
    return own, [shape(child) for child in node["children"]]


def traced(transport: str, **more: Any) -> Any:
    async def whole(store: str) -> Any:
        async with service(store, transport, **more) as runs:
            return await trace_of(runs, await ended(runs))

    return play(whole)


def test_both_transports_have_the_same_tree() -> None:
    by_queue, in_process = traced("queue"), traced("memory")
    assert outline(by_queue["root"]) == outline(in_process["root"]) == BOSS
    assert shape(by_queue["root"]) == shape(in_process["root"])
    own = ("model_calls", "input_tokens", "output_tokens", "total_tokens")
    assert [by_queue["usage"][name] for name in own] == [in_process["usage"][name] for name in own]
    assert by_queue["usd"] == in_process["usd"] == by_queue["root"]["usd"] > 0
    assert by_queue["root"]["input_tokens"] == by_queue["usage"]["input_tokens"]


def test_message_says_which_run_works_on_it_and_when() -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            root = await ended(runs)
            trace = await trace_of(runs, root)
            for message in nodes(trace, "message"):
                run = message["run"]
                assert (run["status"], run["waits_for"], run["error_code"]) == ("completed", None, None)
                assert run["queued_at"] <= message["started_at"] <= message["ended_at"] <= run["ended_at"] + 0.01
                own = await trace_of(runs, run["response_id"])
                assert (own["status"], own["root_response_id"]) == ("completed", root)
                assert outline(own["root"]) == outline(message["children"][0])
                assert own["attempts"] == run["attempts"] == (2 if message["name"] == "Helper" else 1)
            first, deep = nodes(trace, "message")[:2]
            assert (await trace_of(runs, deep["run"]["response_id"]))["sent_by"] == first["run"]["response_id"]
            assert (await trace_of(runs, first["run"]["response_id"]))["sent_by"] == root

    play(whole)


def test_unfinished_run_shows_its_messages_as_far_as_they_have_come() -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            root, seen = await begun(runs), []
            for _ in range(4):
                await worked(runs, 1)
                trace = await trace_of(runs, root)
                seen.append([(node["status"], outline(node)) for node in trace["root"]["children"][1:]])
                assert (trace["status"], trace["root"]["status"], trace["root"]["ended_at"]) == (
                    *("in_progress",) * 2,
                    None,
                )
            queued, began = (
                "message Helper",
                ("message Helper", [("agent Helper", [*HELPER[1][:1], "message Deep"])]),
            )
            assert seen[0] == [("in_progress", queued)] * 2
            assert seen[2] == [("in_progress", began)] * 2
            run = (await trace_of(runs, root))["root"]["children"][2]["run"]
            assert (run["status"], run["waits_for"]) == ("in_progress", "agents")
            assert trace["usage"]["model_calls"] == 4
            assert trace["usage"]["input_tokens"] == trace["root"]["input_tokens"]

    play(whole)


def test_operators_see_what_runs_of_messages_were_asked_and_answered() -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            root = await ended(runs)
            full, public = await trace_of(runs, root, contents=True), await trace_of(runs, root)
            first, deep = nodes(full, "message")[:2]
            assert (first["output"], deep["output"]) == ("[offline model] helped", "[offline model] SECRET of Deep")
            (helper,) = first["children"]
            assert helper["children"][0]["input"] == "a"
            assert [each["output"] for each in helper["children"][-1]["input"]] == ["worked on it"]
            assert "SECRET" not in str(public)
            own = await trace_of(runs, first["run"]["response_id"], contents=True)
            assert own["root"]["children"][0]["input"] == "a"

    play(whole)


def test_run_that_was_deleted_leaves_its_usage() -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            root = await ended(runs)
            before = await trace_of(runs, root)
            await runs.delete("owner", nodes(before, "message")[0]["run"]["response_id"])
            after = await trace_of(runs, root)
            message = nodes(after, "message")[0]
            assert (message["name"], message["children"], message["status"]) == ("Helper", [], "completed")
            assert (after["usd"], after["root"]["input_tokens"]) == (before["usd"], before["root"]["input_tokens"])

    play(whole)


def test_trace_that_is_too_large_has_no_runs_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            root = await ended(runs)
            full = await trace_of(runs, root)
            for limit in ((bounds, "ANSWER", 6000), (run_record, "_MOST_BYTES", 10)):
                with monkeypatch.context() as small:
                    small.setattr(*limit)
                    cut = await trace_of(runs, root)
                assert (cut["child_runs"], "child_runs" in full) == ("too_large", False)
                assert outline(cut["root"]) == (
                    "agent Boss",
                    ["Boss?", *["message Helper"] * 2, "Boss?", "message Helper", "Boss?"],
                )
                assert (cut["usd"], cut["usage"]) == (full["usd"], full["usage"])

    play(whole)


@pytest.mark.parametrize("children", [4, 40])
def test_runs_of_messages_are_read_a_few_at_a_time(children: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.library.features.messages import batches, to

    make = lambda: swarm(Boss=batches([to("Helper", str(n)) for n in range(children)]), Helper=lambda turn: "ok")  # noqa: E731

    async def whole(store: str) -> Any:
        async with service(store, make=make) as runs:
            root, reads = await ended(runs), [0, 0, 0]

            def counting(read: Any) -> Any:
                async def counted(*args: Any, **named: Any) -> Any:
                    reads[0] += 1
                    reads[1] += 1
                    reads[2] = max(reads[1:])
                    try:
                        return await read(*args, **named)
                    finally:
                        reads[1] -= 1

                return counted

            for name in ("get", "query"):
                monkeypatch.setattr(runs.store, name, counting(getattr(runs.store, name)))
            trace = await trace_of(runs, root)
            assert len(nodes(trace, "message")) == children
            return reads

    total, _, at_once = play(whole)
    assert (total <= 3 + 2 * children, at_once <= 8) == (True, True)


def test_trace_of_a_run_of_a_message_is_the_owners() -> None:
    async def whole(store: str) -> None:
        async with service(store) as runs:
            trace = await trace_of(runs, await ended(runs))
            child = nodes(trace, "message")[0]["run"]["response_id"]
            await runs.delete("owner", trace["response_id"])
            with pytest.raises(NotFound):
                await trace_of(runs, child)

    play(whole)


def test_message_that_failed_has_failed_with_either_transport() -> None:
    def failing(turn: Any) -> Any:
        raise RuntimeError("broken")

    make = lambda: swarm(Deep=failing)  # noqa: E731
    traces = [traced(transport, make=make) for transport in ("queue", "memory")]
    for trace in traces:
        assert trace["status"] == "completed"
    statuses = [[node["status"] for node in walk(trace["root"]) if node["type"] == "message"] for trace in traces]
    assert statuses[0] == statuses[1] == ["completed", "failed"] * 3
    assert nodes(traces[0], "message")[1]["run"]["status"] == "failed"
