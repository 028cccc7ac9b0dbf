"""Refuse a route of the adopter's that the service's own routes hide, and an agency with the name of one of these."""

import inspect
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Match

from agency_lambda.settings import ConfigurationError


def refuse(ours: Sequence[BaseRoute], added: Sequence[BaseRoute]) -> None:
    """Raises ConfigurationError if the service answers an added method and path already."""
    for route in iter_route_contexts(added):
        for method in sorted(route.methods or ()):
            if route.path and _answers(ours, method, route.path):
                taken = f"{method} {route.path} is the service's own route{_place(route.endpoint)}"
                instead = ", or set PAGE=0 to do without the service's page" if _is_page(route.path) else ""
                raise ConfigurationError(f"{taken}: choose another path{instead}")


def refuse_names(ours: Sequence[BaseRoute], agencies: Iterable[str]) -> None:
    """Raises ConfigurationError if paths of the service begin with the name of an agency."""
    for name in sorted({*agencies} & _first_parts(ours)):
        raise ConfigurationError(
            f"paths of the service begin with /{name}: give the agency {name!r} another name in agents/agencies.py, or "
            "leave agency-swarm out of PROTOCOLS"
        )


def _first_parts(routes: Sequence[BaseRoute]) -> set[str]:
    paths = (str(route.path) for route in iter_route_contexts(routes))
    return {part for path in paths if (part := path.split("/")[1]) and not part.startswith("{")}


def _answers(routes: Sequence[BaseRoute], method: str, path: str) -> bool:
    # A parameter stands for one segment, and of the type `path` for two.
    example = re.sub(r"\{\w+(:\w+)?\}", lambda found: "a/b" if found[1] == ":path" else "a", path)
    scope = {"type": "http", "method": method, "path": example, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def _is_page(path: str) -> bool:
    return path == "/" or path.startswith("/page/")


def _place(endpoint: Any) -> str:
    code = getattr(inspect.unwrap(endpoint), "__code__", None) if callable(endpoint) else None
    return f" ({os.path.relpath(code.co_filename)}:{code.co_firstlineno})" if code else ""
