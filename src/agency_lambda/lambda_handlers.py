import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agency_lambda import snap_start, telemetry
from agency_lambda.catalogue import manifest
from agency_lambda.run_service import get_run_service
from agency_lambda.settings import get_settings
from lambda_loop import EnvironmentLoop, InvocationReport


def lambda_handler(app: ASGIApp) -> EnvironmentLoop:
    """Return a handler for events of API Gateway, function URLs and ALBs.

    Raises:
        ConfigurationError: a route that was added to the app is one of the service's.
    """
    from agency_lambda.app import App  # which the worker does not need

    if isinstance(app, App):
        app.refuse_conflicts()
    environment = EnvironmentLoop(app, get_settings().event_loop, on_report=telemetry.log_report)
    telemetry.log_not_configured(manifest.not_configured())
    snap_start.register(environment)
    return environment


class Worker:
    """Handle events of the run queue, each as a request on the loop."""

    def __init__(self, on_report: Callable[[InvocationReport], None] = telemetry.log_report) -> None:
        self.environment = EnvironmentLoop(_batch, get_settings().event_loop, on_report=on_report)
        snap_start.register(self.environment)

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Work on a batch of SQS messages, or requeue abandoned runs for a schedule.

        Returns `{"batchItemFailures": [...]}` or `{"swept": N}`. Raises RuntimeError if the whole batch failed.
        """
        answer = self.environment(_request(event), context)
        if answer["statusCode"] != 200:
            raise RuntimeError(f"the batch failed: {answer['body']}")
        result: dict[str, Any] = json.loads(answer["body"])
        return result


async def _batch(scope: Scope, receive: Receive, send: Send) -> None:
    from agency_lambda.record.export import export_run
    from agency_lambda.runs import worker

    batch = await Request(scope, receive).json()
    await JSONResponse(await worker.receive(get_run_service(), batch, export_run))(scope, receive, send)


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
