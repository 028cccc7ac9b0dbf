"""Lambda entry, SQS: runs in the background, and the sweep that a schedule asks for.

    event -> EnvironmentLoop -> receive -> runs -> (lease, journal, agency) -> what failed

The loop, the deadline and the ledger are the same as those of `handler.api`: a batch is sent through them as a request.
Nobody calls it over HTTP, so it has no keys of callers and may read none.
"""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from handler import snapshot, telemetry
from handler.environment import runs
from handler.event_loop import EnvironmentLoop
from handler.settings import get_settings


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI app whose only request is a batch."""
    from handler.runs import work

    batch = await Request(scope, receive).json()
    await JSONResponse(await work.receive(runs(), batch))(scope, receive, send)


environment = EnvironmentLoop(app, get_settings().event_loop, report=telemetry.report)
snapshot.register(environment)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """One batch of SQS messages: `{"batchItemFailures": [...]}`; or a schedule's event: `{"swept": N}`.

    Raises:
        RuntimeError: the batch as a whole could not be worked on; SQS sends it again.
    """
    answer = environment(_request(event), context)
    if answer["statusCode"] != 200:
        raise RuntimeError(f"the batch failed: {answer['body']}")
    result: dict[str, Any] = json.loads(answer["body"])
    return result


def _request(event: dict[str, Any]) -> dict[str, Any]:
    http = {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
    return {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": http, "stage": "$default"},
        "body": json.dumps(event),
        "isBase64Encoded": False,
    }
