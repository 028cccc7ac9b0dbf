"""The same app under uvicorn, on this machine only: `make run`."""

import os
import sys

import uvicorn

from handler import catalogue
from handler.app import app
from handler.errors import ServiceError
from handler.event_loop import EnvironmentLoop, EventLoopError
from handler.settings import ConfigurationError, get_settings

HOST = "127.0.0.1"
_HINT = """
{agencies} on http://{host}:{port} (interactive docs: /docs), model: {model}

curl -s localhost:{port}/completion -H 'content-type: application/json' -d '{{"message": "Client Weber GmbH asks about \
next week'"'"'s installation plan for the crew in Stuttgart. Prepare the reply."}}'
"""


def main() -> None:
    """Serve until interrupted, on the environment's one loop. A configuration that cannot work exits with 2."""
    try:
        settings, port = get_settings(), _port()
        environment = EnvironmentLoop(app, settings.event_loop)
        catalogue.check()
    except (ConfigurationError, EventLoopError, ServiceError) as error:
        sys.exit(f"Not started: {error.__cause__ or error}")
    model = (
        "offline (set OPENAI_API_KEY for a real one)" if settings.offline else settings.model or "as the agents name it"
    )
    print(_HINT.format(agencies=", ".join(catalogue.factories()), host=HOST, port=port, model=model), flush=True)
    # Its loop is ours and its lifespan too: the environment has started the app already.
    server = uvicorn.Server(
        uvicorn.Config(environment.asgi, HOST, port, lifespan="off", interface="asgi3", log_level="warning")
    )
    try:
        environment.run(server.serve())
    except KeyboardInterrupt:
        pass
    finally:
        environment.close()


def _port() -> int:
    port = os.environ.get("PORT", "8000")
    if not port.isdigit() or not 0 <= int(port) < 65536:
        raise ConfigurationError(f"PORT is {port!r}: write a number from 0 to 65535")
    return int(port)


if __name__ == "__main__":
    main()
