"""The loop of the runtime client."""

import json
import logging
import os
import sys
from importlib import import_module

from lambda_loop import EnvironmentLoop
from lambda_loop.runtime import logs, snap_start
from lambda_loop.runtime.api import Event, RuntimeApi
from lambda_loop.runtime.context import Context
from lambda_loop.runtime.response import CutOff, StreamedResponse

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve invocations for ever. Exits with 1 if the app cannot be imported."""
    logs.configure()
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    environment = _load_environment(api)
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        snap_start.restore(api)
    while True:
        handle(api, environment, api.next())


def _load_environment(api: RuntimeApi) -> EnvironmentLoop:
    try:
        module = os.environ["_HANDLER"].rpartition(".")[0].replace("/", ".")
        environment: EnvironmentLoop = import_module(module).environment
        return environment
    except BaseException as error:
        logger.exception("the function cannot start")
        api.report_error("/init", error)
        sys.exit(1)


def handle(api: RuntimeApi, environment: EnvironmentLoop, event: Event) -> None:
    failure: Exception | None = None
    response: StreamedResponse | None = None
    try:
        context = Context(event)
        logs.set_invocation(context)
        os.environ["_X_AMZN_TRACE_ID"] = context.trace_id or ""
        payload = json.loads(event.body)
        response = StreamedResponse(api.address, context, separate_cookies=payload.get("version") == "2.0")
        environment.stream(payload, context, response.send)
    except Exception as error:
        logger.exception("request %s: the invocation failed", event.request_id)
        failure = error
    if response is not None and response.started:
        environment.run(response.end(failure))
    else:
        _report_failure(api, event, failure or CutOff("The app gave no answer."))


def _report_failure(api: RuntimeApi, event: Event, failure: Exception) -> None:
    try:
        api.report_error(f"/invocation/{event.request_id}", failure)
    except RuntimeError:  # Lambda refuses it, e.g. because the time is up; the environment goes on
        logger.exception("request %s: its failure could not be reported", event.request_id)


if __name__ == "__main__":
    main()
