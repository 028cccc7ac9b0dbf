"""Started by lambda_loop/runtime/stream.sh: one invocation after the other, as long as the environment lives."""

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
    """Ends only with the process: when the app cannot be imported (1), or the snapshot's hooks fail (64, 65)."""
    logs.set_up()
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    environment = _environment(api)
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        snap_start.pass_through(api)
    while True:
        answer(api, environment, api.next())


def _environment(api: RuntimeApi) -> EnvironmentLoop:
    """`environment` of the module that the function's handler is in."""
    try:
        module = os.environ["_HANDLER"].rpartition(".")[0].replace("/", ".")
        environment: EnvironmentLoop = import_module(module).environment
        return environment
    except BaseException as error:
        logger.exception("the function cannot start")
        api.report_error("/init", error)
        sys.exit(1)


def answer(api: RuntimeApi, environment: EnvironmentLoop, event: Event) -> None:
    """One invocation. What goes wrong in it is reported, and the environment goes on."""
    failure: Exception | None = None
    response: StreamedResponse | None = None
    try:
        context = Context(event)
        logs.about(context)
        os.environ["_X_AMZN_TRACE_ID"] = context.trace_id or ""
        payload = json.loads(event.body)
        response = StreamedResponse(api.address, context, separate_cookies=payload.get("version") == "2.0")
        environment.stream(payload, context, response.send)
    except Exception as error:
        logger.exception("request %s: the invocation failed", event.request_id)
        failure = error
    if response is not None and response.begun:
        environment.run(response.end(failure))
    else:
        _report_error(api, event, failure or CutOff("The app gave no answer."))


def _report_error(api: RuntimeApi, event: Event, failure: Exception) -> None:
    """Lambda may refuse it, for instance because the time is up: that is no reason to end the environment."""
    try:
        api.report_error(f"/invocation/{event.request_id}", failure)
    except RuntimeError:
        logger.exception("request %s: its failure could not be reported", event.request_id)


if __name__ == "__main__":
    main()
