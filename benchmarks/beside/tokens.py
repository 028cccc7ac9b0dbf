"""How long a token takes from the provider, through the server, to the client."""

import re
import time

from benchmarks.beside.client import connected
from benchmarks.beside.server import Server
from benchmarks.provider.plan import CLOCK

_TOLD = re.compile(rb"\d{10,}(?= )")  # time.monotonic_ns() and what parts it from the next


async def block(server: Server, streams: int) -> list[float]:
    """Milliseconds of each token: what it says is when the provider sent it."""
    took = []
    for _ in range(streams):
        seen = set[bytes]()
        async with connected(server.port) as client:
            async for data in client.stream(server.peer.stream(CLOCK)):
                now = time.monotonic_ns()
                new = set(_TOLD.findall(data)) - seen
                took += [(now - int(told)) / 1e6 for told in new]
                seen |= new
        assert len(seen) > 10, f"{server.peer.name} has streamed {len(seen)} tokens"
    return took
