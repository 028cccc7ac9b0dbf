"""Messages of MCP to the service in this process, in any version of the protocol."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service

MODERN, TASKS_IN_CORE = "2026-07-28", "2025-11-25"
META = "io.modelcontextprotocol/"
WITH_TASKS = {"extensions": {f"{META}tasks": {}}}
WITH_FORMS = {"elicitation": {}}
_NAMED = {"tools/call": "name", "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
Answer = dict[str, Any]
_numbers = count(1)


class Client:
    """version: "" sends none. capabilities: those of the client."""

    def __init__(
        self, service: Service, version: str = MODERN, capabilities: Mapping[str, Any] | None = None, **headers: str
    ) -> None:
        self.service, self.version, self.capabilities = service, version, dict(capabilities or {})
        self.headers = {"accept": "application/json, text/event-stream", **headers}
        if version != MODERN and capabilities:
            hello = {
                "protocolVersion": version,
                "capabilities": capabilities,
                "clientInfo": {"name": "t", "version": "1"},
            }
            self.headers["mcp-session-id"] = self.send(self.message("initialize", hello))[1]["mcp-session-id"]

    def message(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        params = dict(params or {})
        if self.version == MODERN:
            own = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": self.capabilities}
            params["_meta"] = {**own, **params.get("_meta", {})}
        return {"jsonrpc": "2.0", "id": next(_numbers), "method": method, "params": params}

    def headers_of(self, message: dict[str, Any]) -> dict[str, str]:
        sent = {**self.headers, **({"mcp-protocol-version": self.version} if self.version else {})}
        if self.version == MODERN:
            sent["mcp-method"] = message["method"]
            if name := message["params"].get(_NAMED.get(message["method"], "")):
                sent["mcp-name"] = str(name)
        return sent

    def send(self, message: Any, seconds: float = 60, **headers: str) -> tuple[int, dict[str, str], str]:
        """Returns status, headers and body."""
        sent = self.headers_of(message) if isinstance(message, dict) and "method" in message else self.headers
        event = http_event("POST", "/mcp", message, **{**sent, **headers})
        answer = self.service.handler(event, Context(seconds))
        return answer["statusCode"], answer["headers"], answer["body"]

    def answer(self, method: str, params: Mapping[str, Any] | None = None, seconds: float = 60) -> Answer:
        """Returns the JSON-RPC response, the last message of a stream."""
        message = self.message(method, params)
        _, headers, body = self.send(message, seconds)
        found: Answer = messages(body)[-1] if "event-stream" in headers["content-type"] else json.loads(body)
        assert found["id"] == message["id"]
        return found

    def result(self, method: str, params: Mapping[str, Any] | None = None, seconds: float = 60) -> Answer:
        found = self.answer(method, params, seconds)
        assert "result" in found, found
        return dict(found["result"])

    def error(self, method: str, params: Mapping[str, Any] | None = None) -> Answer:
        found = self.answer(method, params)
        assert "error" in found, found
        return dict(found["error"])

    def call(
        self, tool: str, *, more: Mapping[str, Any] | None = None, seconds: float = 60, **arguments: Any
    ) -> Answer:
        return self.result("tools/call", {"name": tool, "arguments": arguments, **(more or {})}, seconds)


def messages(body: str) -> list[Answer]:
    """The messages of a whole stream."""
    chunks = [chunk for chunk in body.split("\n\n") if chunk and not chunk.startswith(":")]
    assert all(chunk.startswith("event: message\ndata: ") for chunk in chunks)
    return [json.loads(chunk.partition("data: ")[2]) for chunk in chunks]


def text(result: Answer) -> str:
    return "\n".join(part["text"] for part in result["content"])
