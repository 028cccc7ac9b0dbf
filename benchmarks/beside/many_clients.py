"""So many clients at once, each of which asks again when it has its answer."""

import asyncio
import time
from typing import NamedTuple

from benchmarks.beside.client import connected
from benchmarks.beside.peer import Form
from benchmarks.beside.server import Server
from benchmarks.provider.plan import FLOW, LETTER


class Crowd(NamedTuple):
    """rate: runs a second. cpu: milliseconds a run. walls: milliseconds of each run."""

    rate: float
    cpu: float
    walls: list[float]


async def block(server: Server, form: Form, clients: int, runs: int) -> Crowd:
    """Make so many runs.

    Raises:
        AssertionError: an answer is not the letter that comes after four tools.
    """
    waiting, walls = iter(range(runs)), list[float]()

    async def ask() -> None:
        async with connected(server.port) as client:
            for _ in waiting:
                begun = time.perf_counter()
                answer = await client.ask(form.request(FLOW, ""))
                walls.append(1000 * (time.perf_counter() - begun))
                assert LETTER.encode() in answer, answer

    begun, before = time.perf_counter(), server.cpu()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return Crowd(runs / (time.perf_counter() - begun), 1000 * (server.cpu() - before) / runs, walls)
