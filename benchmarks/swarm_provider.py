"""A provider on loopback for `benchmarks/swarm`: it answers the boss at once, and the helper after a while.

The boss is asked "NUMBER messages of SECONDS s", and sends so many of them.
"""

import asyncio
import json
import re
from collections import Counter
from typing import Any
from zlib import crc32

from benchmarks.provider import responses

_seen = Counter[str]()  # answers given, by agent


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
            body = await reader.readexactly(length)
            answer = json.dumps(await _answer(body) if body else _seen).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"
            writer.write(head.encode() + answer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _answer(body: bytes) -> dict[str, Any]:
    request = json.loads(body)
    name, items = f"{crc32(body):08x}", request["input"]
    number, seconds = re.findall(r"(\d+) messages? of ([\d.]+) s", json.dumps(items))[-1]
    agent = "Boss" if "You are Boss" in request["instructions"] else "Helper"
    if agent == "Helper":
        await asyncio.sleep(float(seconds))
    _seen[agent] += 1
    answer = responses.answer(request["model"], name, f"{agent} has found what there is to find.")
    if agent == "Boss" and items[-1].get("type") != "function_call_output":
        answer["output"] = [_call(f"{name}{part}", part, seconds) for part in range(int(number))]
    return answer


def _call(name: str, part: int, seconds: str) -> Any:
    asked = {"recipient_agent": "Helper", "message": f"Part {part}: 1 message of {seconds} s"}
    say = "send_message", {**asked, "additional_instructions": ""}
    return responses.answer("", name, say)["output"][0]


async def _serve() -> None:
    server = await asyncio.start_server(_converse, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
