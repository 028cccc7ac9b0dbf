"""The routes, one module for each subject."""

from collections.abc import Container
from importlib import import_module

from starlette.routing import BaseRoute

from agency_lambda.routes import (
    admin,
    agencies,
    approvals,
    budgets,
    caller,
    completion,
    conversations,
    health,
    models,
    responses,
    usage,
    webhooks,
)

SUBJECTS = (
    completion,
    agencies,
    health,
    responses,
    conversations,
    approvals,
    models,
    admin,
    budgets,
    usage,
    webhooks,
    caller,
)
#: name in PROTOCOLS -> the module here with its routes, which is imported only if the protocol is on
PROTOCOLS: dict[str, str] = {
    "chat-completions": "chat",
    "ag-ui": "ag_ui",
    "agency-swarm": "run_fastapi",
    "mcp": "mcp",
    "files": "files",
}


def routes_of(protocols: Container[str], *, page: bool) -> list[BaseRoute]:
    """Return the routes that are always there, and behind them those of the protocols and of the page."""
    names = [module for name, module in PROTOCOLS.items() if name in protocols] + ["page"] * page
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return [route for subject in (*SUBJECTS, *modules) for route in subject.router.routes]
