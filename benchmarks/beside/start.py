"""From the start of the process to its first answer."""

import time

from benchmarks.beside.client import connected
from benchmarks.beside.peer import Peer
from benchmarks.beside.server import serving
from benchmarks.provider.plan import FLOW, LETTER


async def first_answer(peer: Peer, url: str) -> dict[str, float]:
    """Return "CPU" and "wall" in seconds, and "RSS" in MB."""
    begun = time.perf_counter()
    with serving(peer, url) as server:
        async with connected(server.port) as client:
            answer = await client.ask(peer.forms[0].request(FLOW, ""))
            took = {"CPU": server.cpu(), "wall": time.perf_counter() - begun, "RSS": server.rss()}
    assert LETTER.encode() in answer, answer
    return took
