"""Answer one API Gateway event by an ASGI app: `python -m lambda_loop.example [MODULE:APP [PATH]]`."""

import json
import sys
from importlib import import_module
from typing import Any

from lambda_loop import EnvironmentLoop
from lambda_loop.asgi import ASGIApp, Receive, Scope, Send


class Context:
    """What Lambda gives a handler: of its context object, this package reads these two."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 10_000


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"hello from {scope['path']}".encode()})


def event(path: str) -> dict[str, Any]:
    http = {"method": "GET", "path": path, "sourceIp": "127.0.0.1"}
    request_context = {"http": http, "stage": "$default"}
    return {"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "requestContext": request_context}


def main(name: str = "", path: str = "/") -> None:
    """Print the report of the request, and then the response as Lambda returns it."""
    app: ASGIApp = hello
    if name:
        module, _, attribute = name.partition(":")
        app = getattr(import_module(module), attribute)
    handler = EnvironmentLoop(app, mode="patch")
    print(json.dumps(handler(event(path), Context())))
    handler.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
