"""A client of `run_fastapi`'s routes, as Agency Swarm's own ones parse what they get."""

import asyncio
import json
from typing import Any, NamedTuple

from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service


class Streamed(NamedTuple):
    """frames: of the events without a name. named: the others, by their names."""

    frames: list[dict[str, Any]]
    named: dict[str, Any]

    @property
    def errors(self) -> list[str]:
        return [frame["error"] for frame in self.frames if "error" in frame]

    @property
    def raw(self) -> list[dict[str, Any]]:
        return [frame["data"]["data"] for frame in self.frames if frame.get("data", {}).get("data")]

    @property
    def text(self) -> str:
        return "".join(each["delta"] for each in self.raw if each["type"] == "response.output_text.delta")


def read_stream(body: str) -> Streamed:
    frames, named = [], dict[str, Any]()
    *chunks, rest = body.split("\n\n")
    assert rest == ""
    for chunk in chunks:
        lines = dict(line.split(": ", 1) for line in chunk.split("\n") if not line.startswith(":"))
        data = json.loads(lines["data"]) if lines["data"] != "[DONE]" else "[DONE]"
        if "event" in lines:
            named[lines["event"]] = data
        else:
            frames.append(data)
    assert list(named) == ["meta", "messages", "end"]
    return Streamed(frames, named)


class Swarm:
    """The routes of one agency."""

    def __init__(self, service: Service, agency: str = "letters", **headers: str) -> None:
        self.service, self.agency, self._headers = service, agency, headers

    def send(self, route: str, body: Any, seconds: float = 60, **headers: str) -> tuple[int, Any]:
        path = f"/{self.agency}/{route}"
        return self.service.post(path, body, seconds, **{**self._headers, **headers})

    def ask(self, message: Any, history: Any = None, **fields: Any) -> Any:
        status, answer = self.send("get_response", {"message": message, "chat_history": history, **fields})
        assert status == 200, answer
        return answer

    def stream(self, message: Any, history: Any = None, seconds: float = 60, **fields: Any) -> Streamed:
        body = {"message": message, "chat_history": history, **fields}
        event = http_event("POST", f"/{self.agency}/get_response_stream", body, **self._headers)
        answer = self.service.handler(event, Context(seconds))
        assert answer["statusCode"] == 200, answer["body"]
        return read_stream(answer["body"])

    def leave(self, body: Any, at: str, seconds: float = 60) -> str:
        """Read a stream until it has this text, and disconnect. Return what came. seconds: until the server stops."""
        received, left = [b""], asyncio.Event()
        sent = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

        async def receive() -> Any:
            if sent:
                return sent.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            received[0] += message.get("body", b"")
            if at.encode() in received[0]:
                left.set()
                raise OSError("the client has gone")

        headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
        path = f"/{self.agency}/get_response_stream"
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        request = self.service.handler.asgi(scope, receive, send)
        self.service.handler.run(asyncio.wait_for(request, seconds))
        return received[0].decode()

    def run(self, answer: Any) -> Any:
        """Return the response of an answer."""
        return self.service.get(f"/v1/responses/{answer['run_id']}", **self._headers)[1]

    def input_of(self, answer: Any) -> list[Any]:
        """Return what a run was created with, oldest first: (role, text) of messages, the types of others."""
        path = f"/v1/responses/{answer['run_id']}/input_items?order=asc&limit=100"
        items = self.service.get(path, **self._headers)[1]["data"]
        return [
            (item["role"], "".join(part.get("text", "") for part in item["content"]))
            if item["type"] == "message"
            else item["type"]
            for item in items
        ]
