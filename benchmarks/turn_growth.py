"""What turn 100 of a conversation costs beside turn 1: CPU of the server, in pairs, so that other work meets both."""

import asyncio
import json

from benchmarks.beside import ours
from benchmarks.beside.client import Client, Request, as_json, connected
from benchmarks.beside.server import Server, provider, serving
from benchmarks.timing import percentile

_TURN, _AT_ONCE, _CONVERSATIONS = 100, 16, 3  # turns of each conversation that are measured
_WORDS = " ".join(f"Order {number} goes to Stuttgart." for number in range(12))  # 60 words


def measure() -> float:
    """Return the CPU of a run about turn 100 over that of a first turn, the median of pairs."""
    with provider() as model, serving(ours.ours(), model.url) as server:
        return asyncio.run(_ratio(server))


async def _ratio(server: Server) -> float:
    ratios = list[float]()
    async with connected(server.port) as client:
        for _ in range(_AT_ONCE // 2):  # what is made by the first runs
            await client.ask(_turn(await _conversation(client)))
        for _ in range(_CONVERSATIONS):
            grown = await _conversation(client)
            await _fill(client, grown, _TURN - 1 - _AT_ONCE // 2)
            for _ in range(_AT_ONCE):
                first = await _cost(server, client, await _conversation(client))
                ratios.append(await _cost(server, client, grown) / first)
    return percentile(ratios, 50)


async def _cost(server: Server, client: Client, conversation: str) -> float:
    before = server.cpu()
    await client.ask(_turn(conversation))
    return server.cpu() - before


async def _conversation(client: Client) -> str:
    return str(json.loads(await client.ask(as_json("/v1/conversations")))["id"])


def _turn(conversation: str) -> Request:
    return as_json("/v1/responses", model="desk", input=_WORDS, conversation=conversation)


async def _fill(client: Client, conversation: str, turns: int) -> None:
    parts = {"user": "input_text", "assistant": "output_text"}
    items = [
        {"type": "message", "role": role, "content": [{"type": kind, "text": _WORDS}]} for role, kind in parts.items()
    ]
    for _ in range(turns):
        await client.ask(as_json(f"/v1/conversations/{conversation}/items", items=items))


if __name__ == "__main__":
    print(f"{measure():.2f}")
