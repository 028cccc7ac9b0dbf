"""The benchmark beside others: what the provider says, and that the numbers are of runs that were made."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from benchmarks import report
from benchmarks.beside import conversation, many_clients, one_client, process_tree, ratios, tokens
from benchmarks.beside.client import Refused, Request
from benchmarks.beside.ours import ours
from benchmarks.beside.peer import Form
from benchmarks.beside.server import Provider, Server, provider, serving
from benchmarks.beside.tables import CONVERSATION, CROWD, RUN, START, STREAM
from benchmarks.provider.plan import CLOCK, FLOW, LETTER, TOOLS
from benchmarks.results import Series

CALLS = len(TOOLS) + 1
MODEL = "gpt-4.1"


@pytest.fixture(scope="module")
def model() -> Iterator[Provider]:
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def server(model: Provider) -> Iterator[Server]:
    with serving(ours(), model.url) as running:
        yield running


def openai(model: Provider) -> OpenAI:
    return OpenAI(base_url=model.url, api_key="any", max_retries=0)


def by_responses(client: OpenAI, items: list[Any], streamed: bool) -> list[Any]:
    """Ask, and return the conversation with the answer and, of a tool, a result."""
    if streamed:
        with client.responses.stream(model=MODEL, input=items) as stream:
            *_, last = stream
        (said,) = last.response.output  # type: ignore[union-attr]
    else:
        (said,) = client.responses.create(model=MODEL, input=items).output
    item = said.to_dict()
    result = [{"type": "function_call_output", "call_id": item["call_id"], "output": "ok"}] if "call_id" in item else []
    return [*items, item, *result]


def by_chat(client: OpenAI, messages: list[Any], streamed: bool) -> list[Any]:
    if streamed:
        with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
            said = stream.get_final_completion().choices[0].message.to_dict()
    else:
        said = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.to_dict()
    calls: list[Any] = said.get("tool_calls") or []  # type: ignore[assignment]
    return [*messages, said, *({"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in calls)]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_provider_plays_one_flow_by_responses_and_by_chat(model: Provider, streamed: bool) -> None:
    client = openai(model)
    items: list[Any] = [{"role": "user", "content": FLOW}]
    messages = items
    for name, _ in TOOLS:
        items, messages = by_responses(client, items, streamed), by_chat(client, messages, streamed)
        assert items[-2]["name"] == messages[-2]["tool_calls"][0]["function"]["name"] == name
    items, messages = by_responses(client, items, streamed), by_chat(client, messages, streamed)
    assert items[-1]["content"][0]["text"] == messages[-1]["content"] == LETTER


def test_the_provider_answers_the_same_request_with_the_same_bytes(model: Provider) -> None:
    asked = {"model": MODEL, "input": FLOW}
    first, again = (httpx.post(f"{model.url}/responses", json=asked).content for _ in range(2))
    assert first == again


@pytest.mark.parametrize("chat", [False, True])
def test_the_provider_streams_the_time_as_it_passes(model: Provider, chat: bool) -> None:
    place, said = ("chat/completions", "messages") if chat else ("responses", "input")
    asked = {"model": MODEL, said: [{"role": "user", "content": CLOCK}], "stream": True}
    came = []
    with httpx.stream("POST", f"{model.url}/{place}", json=asked) as answer:
        for data in answer.iter_raw():
            came += [(int(told), time.monotonic_ns()) for told in set(tokens._TOLD.findall(data))]
    assert len({told for told, _ in came}) == 20
    assert all(told < now for told, now in came)
    assert max(came)[0] - min(came)[0] > 19 * 4e6


@pytest.mark.parametrize("number", [0, 1])
def test_a_measured_run_has_made_its_model_calls(model: Provider, server: Server, number: int) -> None:
    before = model.calls()
    took = asyncio.run(one_client.block(server, server.peer.forms[number], 3))
    assert model.calls() - before == 3 * CALLS
    assert all(1 < spent < 5000 for spent in took["CPU"])
    assert [len(values) for values in took.values()] == [3, 3]


def test_many_clients_make_as_many_runs_as_are_said(model: Provider, server: Server) -> None:
    before = model.calls()
    crowd = asyncio.run(many_clients.block(server, server.peer.forms[0], 3, 7))
    assert len(crowd.walls) == 7
    assert model.calls() - before == 7 * CALLS
    assert 0 < crowd.rate < 7000 / max(crowd.walls)
    assert 1 < crowd.cpu < 5000


def test_a_turn_is_sent_with_all_that_was_before(model: Provider, server: Server) -> None:
    before = model.calls()
    took = asyncio.run(conversation.grow(server, model, (1, 20)))
    assert list(took) == [1, 20]
    assert model.calls() - before == 2 * conversation._AT_ONCE
    assert model.items() == 2 * (20 + conversation._AT_ONCE - 1) - 1


def test_a_token_is_seen_after_it_was_sent(server: Server) -> None:
    took = asyncio.run(tokens.block(server, 1))
    assert len(took) == 20
    assert all(0 < each < 5000 for each in took)


def test_a_run_that_is_refused_or_says_something_else_ends_the_benchmark(server: Server) -> None:
    refused = Form("", "", lambda *_: Request("/v1/responses", b'{"model": "nobody", "input": "hello"}'))
    other = Form("", "", lambda *_: Request("/v1/conversations", b"{}"))
    with pytest.raises(Refused, match="404"):
        asyncio.run(one_client.block(server, refused, 1))
    for block in (one_client.block(server, other, 1), many_clients.block(server, other, 1, 1)):
        with pytest.raises(AssertionError):
            asyncio.run(block)


def test_a_server_that_does_not_start_says_why(model: Provider) -> None:
    peer = ours()
    broken = type(peer)(**{**vars(peer), "variables": {"STORE": "nowhere"}})
    with pytest.raises(RuntimeError, match="STORE"), serving(broken, model.url):
        pass


def test_a_process_is_measured_with_those_that_it_has_started() -> None:
    work = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nheld = bytes(30_000_000)\ninput()"
    starts = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {work!r}])"
    with subprocess.Popen([sys.executable, "-c", starts], stdin=-1, stdout=-1) as process:
        assert process.stdout
        process.stdout.readline()
        assert 0.3 < process_tree.cpu(process.pid) < 2
        assert len(process_tree.members(process.pid)) == 2
        assert process_tree.rss(process.pid) > 15
        process.communicate(b"\n")


def test_the_best_other_is_chosen_in_each_round() -> None:
    """Two peers, of which another is the faster in each round; and what each keeps stands beside it."""
    rows = {
        "agency-lambda, stored": (1.0, 2.0),
        "FastAPI + openai-agents, our pins, stored": (2.0, 8.0),
        "Agno AgentOS, stored": (4.0, 4.0),
    }
    made = []
    for name, values in rows.items():
        bare, unstored = name.removesuffix(", stored"), name.replace("stored", "not stored")
        made += [Series(RUN, each, "CPU p50", "ms", values, "a row") for each in (name, unstored)]
        for clients in (16, 64):
            made += [Series(CROWD, name, f"{clients} clients, runs a second", "", values)]
            made += [Series(CROWD, name, f"{clients} clients, CPU a run", "ms", values)]
            made += [Series(CROWD, name, f"{clients} clients, p{percent}", "ms", values) for percent in (50, 99)]
        made += [Series(START, bare, "CPU to the first answer", "s", values)]
        made += [Series(CONVERSATION, name, f"CPU of turn {turn}", "ms", values) for turn in (1, 100)]
        made += [Series(STREAM, bare, "token to event, wall p50", "ms", values)]
    found = {each.name: each for each in ratios.of(made)}
    assert found["16 clients, runs a second: the best other / agency-lambda"].values == (4.0, 4.0)
    assert found["64 clients, CPU a run: agency-lambda / the best other"].values == (0.5, 0.5)
    assert found["CPU to the first answer: agency-lambda / the best other"].values == (0.5, 0.5)
    assert found["CPU: agency-lambda, stored / FastAPI + openai-agents, our pins, stored"].values == (0.5, 0.25)
    assert not any("newest" in name for name in found)
    head, _, row, *_ = [line for line in report.tables({}, (made, [])).splitlines() if line.startswith("|")]
    assert [line.strip("|").split("|")[-1].strip() for line in (head, row)] == ["keeps", "a row"]
