"""All figures of all peers, which live at the same time and take turns: the machine's speed drifts."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.beside import conversation, environments, many_clients, one_client, ratios, start, tokens
from benchmarks.beside.others import all_others, nearest
from benchmarks.beside.ours import ours
from benchmarks.beside.peer import Form, Peer
from benchmarks.beside.server import Provider, Server, provider, serving
from benchmarks.beside.tables import Values, series
from benchmarks.provider.plan import TOOLS
from benchmarks.results import Measured
from benchmarks.timing import percentile

_LAST_TURN = 500
_WARM_UP = 3  # runs


class Size(NamedTuple):
    """How often: rounds of so many runs of one client, (rounds, runs) of 16 and of 64 clients, ..."""

    rounds: int
    times: int
    crowds: dict[int, tuple[int, int]]
    runs: int  # after which memory is read
    starts: int
    streams: int
    conversations: int


_QUICK = Size(3, 4, {16: (1, 96), 64: (1, 96)}, 150, 2, 2, 1)
_WHOLE = Size(10, 5, {16: (3, 96), 64: (2, 128)}, 500, 5, 5, 3)


def measure(*, quick: bool) -> Measured:
    """Five model calls and four tools, by each peer; quick: by the two nearest, without turn 500."""
    size = _QUICK if quick else _WHOLE
    peers = [ours(str(environments.ours() / "bin" / "python")), *(nearest() if quick else all_others())]
    values: Values = defaultdict(list)
    with provider() as model:
        asyncio.run(_start(peers, model.url, size, values))
        with ExitStack() as stack:
            servers = [stack.enter_context(serving(peer, model.url)) for peer in peers]
            asyncio.run(_take_turns(servers, model, size, quick, values))
    made = series(peers, values)
    return made, ratios.of(made)


async def _start(peers: list[Peer], url: str, size: Size, values: Values) -> None:
    for _ in range(size.starts):
        for peer in peers:
            for metric, value in (await start.first_answer(peer, url)).items():
                values["start", peer.name, metric].append(value)


async def _take_turns(servers: list[Server], model: Provider, size: Size, quick: bool, values: Values) -> None:
    done = await _warm_up(servers, model)
    for _ in range(size.rounds):
        for server, form in _forms(servers):
            _add_run(values, server.peer.title(form), await one_client.block(server, form, size.times))
            done[server.peer.name] += size.times
    for clients, (rounds, runs) in size.crowds.items():
        for _ in range(rounds):
            for server in servers:
                await _add_crowd(values, server, clients, runs)
                done[server.peer.name] += runs
        if clients == min(size.crowds):  # memory at no more than 16 at once
            for server in servers:
                await _add_memory(values, server, size.runs, done[server.peer.name])
    await _converse(servers, model, size, quick, values)
    for _ in range(size.streams):
        for server in servers:
            took = await tokens.block(server, 3)
            for percent in (50, 99):
                values["stream", server.peer.name, f"p{percent}"].append(percentile(took, percent))


async def _warm_up(servers: list[Server], model: Provider) -> dict[str, int]:
    # Return how many runs each has made. Raises AssertionError where a run is not of five model calls.
    done = defaultdict[str, int](int)
    for server, form in _forms(servers):
        before = model.calls()
        await one_client.block(server, form, _WARM_UP)
        calls = model.calls() - before
        assert calls == _WARM_UP * (len(TOOLS) + 1), f"{server.peer.title(form)} has made {calls} model calls"
        done[server.peer.name] += _WARM_UP
    return done


def _forms(servers: list[Server]) -> Iterator[tuple[Server, Form]]:
    # The forms that are compared are neighbours.
    for number in range(3):
        yield from ((server, server.peer.forms[number]) for server in servers if number < len(server.peer.forms))


def _add_run(values: Values, title: str, took: one_client.Took) -> None:
    values["run", title, "CPU p50"].append(percentile(took["CPU"], 50))
    values["run", title, "wall p50"].append(percentile(took["wall"], 50))
    values["wall", title, ""] += took["wall"]


async def _add_crowd(values: Values, server: Server, clients: int, runs: int) -> None:
    crowd = await many_clients.block(server, server.peer.forms[0], clients, runs)
    values["crowd", server.peer.name, f"{clients} clients, runs a second"].append(crowd.rate)
    values["crowd", server.peer.name, f"{clients} clients, CPU a run"].append(crowd.cpu)
    for percent in (50, 99):
        values["crowd", server.peer.name, f"{clients} clients, p{percent}"].append(percentile(crowd.walls, percent))


async def _add_memory(values: Values, server: Server, runs: int, done: int) -> None:
    await many_clients.block(server, server.peer.forms[0], 4, max(runs - done, 4))
    values["start", server.peer.name, f"RSS after {runs} runs"].append(server.rss())


async def _converse(servers: list[Server], model: Provider, size: Size, quick: bool, values: Values) -> None:
    for number in range(size.conversations):
        for server in servers:
            if server.peer.start:
                last = (_LAST_TURN,) if not number and not quick else ()
                for turn, took in (await conversation.grow(server, model, (1, 50, 100, *last))).items():
                    values["conversation", server.peer.name, f"turn {turn}"].append(took)
