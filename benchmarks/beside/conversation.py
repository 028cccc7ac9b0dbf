"""One conversation that grows, of turns of one model call each."""

from benchmarks.beside.client import Client, connected
from benchmarks.beside.server import Provider, Server
from benchmarks.provider.plan import LETTER, TURN
from benchmarks.timing import percentile

_AT_ONCE = 5  # turns that are measured, from the one that is named on


async def grow(server: Server, model: Provider, turns: tuple[int, ...]) -> dict[int, float]:
    """Turn -> milliseconds of CPU, the median of that turn and the next four.

    The turns between them are put there without a run where the peer can do so.

    Raises:
        AssertionError: the model was not sent the whole conversation.
    """
    peer, there = server.peer, 0
    assert peer.start
    took = {}
    async with connected(server.port) as client:
        conversation = await peer.start(client)
        for turn in turns:
            missing, there = turn - 1 - there, turn - 1 + _AT_ONCE
            if peer.fill and missing > 0:
                await peer.fill(client, conversation, missing)
            elif missing > 0:
                await _run(server, client, conversation, missing)
            took[turn] = percentile(await _run(server, client, conversation, _AT_ONCE), 50)
            assert model.items() >= 2 * there - 1, f"{peer.name} has sent {model.items()} items at turn {there}"
    return took


async def _run(server: Server, client: Client, conversation: str, times: int) -> list[float]:
    took, spent = [], server.cpu()
    for _ in range(times):
        answer = await client.ask(server.peer.forms[0].request(TURN, conversation))
        assert LETTER.encode() in answer, answer
        before, spent = spent, server.cpu()
        took.append(1000 * (spent - before))
    return took
