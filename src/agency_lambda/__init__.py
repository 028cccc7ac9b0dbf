"""An Agency Swarm agency as an HTTPS service on AWS Lambda or a laptop.

Each name is imported when it is first read.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agency_lambda.app import create_app
    from agency_lambda.framework.ask_person import ask_person
    from agency_lambda.framework.once import once
    from agency_lambda.framework.save_file import save_file
    from agency_lambda.lambda_handlers import Worker, lambda_handler
    from agency_lambda.local import serve
    from agency_lambda.routes.dependencies import Owner
    from agency_lambda.tool_idempotency import idempotency_key

__all__ = [
    "Owner",
    "Worker",
    "__version__",
    "ask_person",
    "create_app",
    "idempotency_key",
    "lambda_handler",
    "once",
    "save_file",
    "serve",
]
__version__ = "0.1.0"

_MODULES = {
    "Owner": "routes.dependencies",
    "Worker": "lambda_handlers",
    "ask_person": "framework.ask_person",
    "lambda_handler": "lambda_handlers",
    "create_app": "app",
    "idempotency_key": "tool_idempotency",
    "once": "framework.once",
    "save_file": "framework.save_file",
    "serve": "local",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
