"""One client that asks again and again: CPU and wall of a run."""

import time

from benchmarks.beside.client import connected
from benchmarks.beside.peer import Form
from benchmarks.beside.server import Server
from benchmarks.provider.plan import FLOW, LETTER

type Took = dict[str, list[float]]


def nothing() -> Took:
    """Return what `block` returns for no run."""
    return {"CPU": [], "wall": []}


async def block(server: Server, form: Form, times: int) -> Took:
    """Milliseconds of each run: "CPU" of the server's processes, and "wall".

    Raises:
        AssertionError: an answer is not the letter that comes after four tools.
    """
    took = nothing()
    requests = [form.request(FLOW, "") for _ in range(times)]
    spent = server.cpu()
    async with connected(server.port) as client:
        for request in requests:
            begun = time.perf_counter()
            answer = await client.ask(request)
            took["wall"].append(1000 * (time.perf_counter() - begun))
            before, spent = spent, server.cpu()
            took["CPU"].append(1000 * (spent - before))
            assert LETTER.encode() in answer, answer
    return took
