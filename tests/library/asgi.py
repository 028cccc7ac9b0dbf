"""An ASGI app asked directly: raw headers, any peer, and no loop but asyncio's own."""

import asyncio
import json
from typing import Any, NamedTuple

from starlette.types import ASGIApp

Headers = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


def ask(
    app: ASGIApp,
    path: str,
    headers: Headers | None = None,
    method: str = "GET",
    body: bytes = b"",
    client: tuple[str, int] | None = ("127.0.0.1", 1),
    **scope: Any,
) -> Reply:
    """One request; `body` of the reply is its JSON, or bytes where it is none."""
    sent: list[Any] = []
    received = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return received.pop() if received else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    asked = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "client": client}
    asyncio.run(app({**asked, "headers": headers or [], **scope}, receive, send))  # type: ignore[arg-type]
    start, content = sent[0], b"".join(message.get("body", b"") for message in sent[1:])
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    is_json = "json" in answered.get("content-type", "")
    return Reply(start["status"], answered, json.loads(content) if is_json and content else content)
