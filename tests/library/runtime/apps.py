"""Small ASGI apps, one a path, each with one thing to provoke. Runs in the process of an `Environment`."""

import asyncio
import gc
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lambda_loop import EnvironmentLoop

PIECE = bytes(range(1, 256)) * 256 + b"."  # 65,281 bytes
Send = Any


async def begin(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def say(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def whole(send: Send, payload: Any, status: int = 200) -> None:
    await begin(send, status, (b"content-type", b"application/json"))
    await say(send, json.dumps(payload).encode(), more=False)


async def hello(scope: Any, receive: Any, send: Send) -> None:
    await whole(send, "hello")


async def echo(scope: Any, receive: Any, send: Send) -> None:
    body = (await receive())["body"]
    await begin(send, 201, (b"content-type", b"application/octet-stream"))
    await say(send, body, more=False)


async def trickle(scope: Any, receive: Any, send: Send) -> None:
    await begin(send)
    for number in range(5):
        await say(send, b"%d" % number)
        await asyncio.sleep(0.15)
    await say(send, b"", more=False)


async def late(scope: Any, receive: Any, send: Send) -> None:
    """The head at once, the body later."""
    await begin(send)
    await asyncio.sleep(0.2)
    await say(send, b"body", more=False)


async def flood(scope: Any, receive: Any, send: Send) -> None:
    """320 pieces, 21 MB; how many have left is in a file."""
    await begin(send)
    for number in range(320):
        await say(send, PIECE)
        Path(os.environ["PROGRESS"]).write_text(str(number + 1))  # noqa: ASYNC240
    await say(send, b"", more=False)


async def pile(scope: Any, receive: Any, send: Send) -> None:
    """2 MB in one piece, which the buffers on the way take at once."""
    await begin(send)
    await say(send, PIECE * 32, more=False)


async def fails(scope: Any, receive: Any, send: Send) -> None:
    raise ValueError("before the first byte")


async def fails_late(scope: Any, receive: Any, send: Send) -> None:
    await begin(send)
    await say(send, b"half")
    raise ValueError("after the first byte")


async def fails_deep(scope: Any, receive: Any, send: Send) -> None:
    await begin(send)
    await fall(90)


async def fall(depth: int) -> None:
    if not depth:
        raise ValueError("\N{SNOWMAN}" * 10_000)
    await fall(depth - 1)


async def stops(scope: Any, receive: Any, send: Send) -> None:
    """It forgets the end."""
    await begin(send)
    await say(send, b"half")


async def nothing(scope: Any, receive: Any, send: Send) -> None:
    await begin(send)
    await say(send, b"", more=False)


async def no_content(scope: Any, receive: Any, send: Send) -> None:
    await begin(send, 204)
    await say(send, b"", more=False)


async def headers(scope: Any, receive: Any, send: Send) -> None:
    cookies = ((b"set-cookie", b"a=1; Path=/"), (b"Set-Cookie", b"b=2"), (b"set-cookie", b"c=3"))
    await begin(send, 200, (b"X-One", b"1"), (b"vary", b"origin"), (b"vary", b"accept"), *cookies, (b"x-l", b"\xe9"))
    await say(send, b"ok", more=False)


async def bad_header(scope: Any, receive: Any, send: Send) -> None:
    await begin(send, 200, ("text", "where bytes belong"))  # type: ignore[arg-type]
    await say(send, b"ok", more=False)


async def sleeps(scope: Any, receive: Any, send: Send) -> None:
    await asyncio.sleep(30)


async def sleeps_late(scope: Any, receive: Any, send: Send) -> None:
    await begin(send)
    await say(send, b"half")
    await asyncio.sleep(30)


async def blocks(scope: Any, receive: Any, send: Send) -> None:
    time.sleep(30)  # noqa: ASYNC251 - the point


async def blocks_late(scope: Any, receive: Any, send: Send) -> None:
    await begin(send)
    await say(send, b"half")
    time.sleep(30)  # noqa: ASYNC251


async def knows(scope: Any, receive: Any, send: Send) -> None:
    context = scope["aws.context"]
    attributes = {name: value for name, value in vars(context).items() if isinstance(value, str)}
    client = context.client_context
    logging.getLogger("tests").warning("of %s", "this")
    await whole(
        send,
        {
            **attributes,
            "trace": os.environ["_X_AMZN_TRACE_ID"],
            "left": context.get_remaining_time_in_millis(),
            "identity": vars(context.identity),
            "client": client and {"title": client.client.app_title, "custom": client.custom, "env": client.env},
        },
    )


async def logs(scope: Any, receive: Any, send: Send) -> None:
    print("printed")
    logging.getLogger("tests").warning("warned of %s", "Tür")
    logging.getLogger("tests").info("not seen")
    try:
        raise ValueError("logged")
    except ValueError:
        logging.getLogger("tests").exception("it failed")
    await whole(send, "ok")


async def prints(scope: Any, receive: Any, send: Send) -> None:
    print("printed")
    await asyncio.sleep(0.5)
    await whole(send, "ok")


async def holds(scope: Any, receive: Any, send: Send) -> None:
    """What the process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240
    await whole(
        send,
        {
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "tasks": len(asyncio.all_tasks()),
            "rss": pages * os.sysconf("SC_PAGESIZE"),
        },
    )


async def exits(scope: Any, receive: Any, send: Send) -> None:
    sys.exit("enough")


async def app(scope: Any, receive: Any, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError("none here")
    await globals()[scope["path"].strip("/")](scope, receive, send)


environment = EnvironmentLoop(app, os.environ.get("EVENT_LOOP", "patch"))  # type: ignore[arg-type]
