"""Serve the app with uvicorn on this machine: `make run`."""

import asyncio
import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from importlib import import_module
from pathlib import Path

import uvicorn

from agency_lambda import catalogue
from agency_lambda.app import App
from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.queries import first_pending
from agency_lambda.approvals.shell_commands import shell_commands
from agency_lambda.catalogue.check import check
from agency_lambda.errors import ServiceError
from agency_lambda.queue.local import LocalQueue
from agency_lambda.settings import ConfigurationError, Settings, get_settings
from lambda_loop import EnvironmentLoop, EventLoopError

HOST = "127.0.0.1"
_PATIENCE = 5  # seconds for open answers at the end, before runs are handed over: containers are killed after 10
_HINT = """{page}
{agencies} on http://{host}:{port} (interactive docs: /docs), model: {model}

curl -s localhost:{port}/completion -H 'content-type: application/json' -d {body}{auth}

OpenAI's clients: base_url="http://{host}:{port}/v1", api_key={key}, model="{agency}"
"""
_ANY_QUESTION = "Hello! What can you do for me?"


def serve(app: str) -> None:
    """Serve `module:app` until interrupted; exit with a sentence if it cannot work."""
    with ExitStack() as stack:
        try:
            _refuse_package()
            settings, listener = get_settings(), _listen()
            module, _, name = app.partition(":")  # its import needs settings: by now they are known to be right
            served = getattr(import_module(module), name)
            if isinstance(served, App):  # and not another ASGI app around it
                served.refuse_conflicts()
            environment = stack.enter_context(closing(EnvironmentLoop(served, settings.event_loop)))
            check()
            if isinstance(served, App):
                served.refuse_names(catalogue.factories())
        except (ConfigurationError, EventLoopError, ServiceError) as error:
            sys.exit(f"Not started: {error}")
        _run_server(environment, listener, settings)


def _run_server(environment: EnvironmentLoop, listener: socket.socket, settings: Settings) -> None:
    port = listener.getsockname()[1]
    print(_hint(settings, port), flush=True)
    # Its loop is ours and its lifespan too: the environment has started the app already.
    config = uvicorn.Config(
        environment.asgi, lifespan="off", interface="asgi3", log_level="warning", timeout_graceful_shutdown=_PATIENCE
    )
    server = uvicorn.Server(config)
    # uvicorn raises what has ended it again; by default SIGTERM would end the process before runs are handed over.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        environment.run(_serve(server, listener, partial(_print_asked, port, settings.auth == "keys")))


async def _serve(
    server: uvicorn.Server, listener: socket.socket, print_asked: Callable[[Sequence[Approval]], None]
) -> None:
    """Run the server, and the worker beside it."""
    from agency_lambda.record.export import export_run
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker as run_worker

    runs, worker = get_run_service(), None
    runs.on_asked = print_asked
    with suppress(ServiceError):
        print_asked([each for owner in await runs.owners.known() for each in await first_pending(runs.store, owner)])
    if isinstance(runs.queue, LocalQueue):
        worker = asyncio.create_task(run_worker.serve(runs, runs.queue, export_run))
    try:
        await server.serve(sockets=[listener])
    finally:
        if worker:
            worker.cancel()
            await asyncio.wait({worker})


def _print_asked(port: int, has_keys: bool, approvals: Sequence[Approval]) -> None:
    for each in approvals:
        print(shell_commands(each, f"localhost:{port}", has_keys=has_keys), flush=True)


def _refuse_package() -> None:
    if (package := Path("agents", "__init__.py")).exists():
        raise ConfigurationError(f"delete {package}: `agents` is the import name of OpenAI's Agents SDK")


def _listen() -> socket.socket:
    port = os.environ.get("PORT", "8000")
    if not port.isdigit() or not int(port) < 65536:
        raise ConfigurationError(f"PORT is {port!r}: write a number from 0 to 65535")
    # The protocol by name: where it is 0, asyncio sets no TCP_NODELAY, and an event of a stream takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, int(port)))
        listener.listen()  # the hint is printed before uvicorn accepts: what calls meanwhile waits
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"port {port} cannot be used ({error.strerror}): set PORT to another") from None
    return listener


def _hint(settings: Settings, port: int) -> str:
    model = settings.model or "as the agents name it"
    if not (settings.openai_api_key or settings.openai_api_key_secret):
        model = "offline (set OPENAI_API_KEY for a real one)"
    names, keys = list(catalogue.factories()), settings.auth == "keys"
    return _HINT.format(
        page=f"\nOpen http://{HOST}:{port} in a browser: a page to talk to the agents and watch them work\n"
        * (settings.page == "1"),
        agencies=", ".join(names),
        host=HOST,
        port=port,
        model=model,
        agency=names[0],
        body=shlex.quote(json.dumps({"message": _question(names[0])}, ensure_ascii=False)),
        auth=' -H "authorization: Bearer $KEY"' if keys else "",
        key="KEY" if keys else '"any"',
    )


def _question(agency: str) -> str:
    """Return the first conversation starter of the entry point."""
    described = catalogue.description(agency)
    entry = described["entry_points"][0]
    starters = next(agent["conversation_starters"] for agent in described["agents"] if agent["name"] == entry)
    return starters[0] if starters else _ANY_QUESTION
