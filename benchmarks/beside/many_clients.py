"""So many clients at once, each of which asks again when it has its answer."""

import asyncio
import time

from benchmarks.beside.client import connected
from benchmarks.beside.peer import Form
from benchmarks.beside.server import Server
from benchmarks.provider.plan import FLOW, LETTER

type Took = dict[str, list[float]]


async def block(server: Server, form: Form, clients: int, runs: int) -> tuple[float, list[float]]:
    """Runs a second, and the milliseconds that each run took.

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

    begun = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return runs / (time.perf_counter() - begun), walls
