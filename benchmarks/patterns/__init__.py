"""The ways in which people call an agency, or anything asynchronous, from a request: one route each."""

# Each pattern answers with the work's result, or raises what the framework or asyncio raised. `STRICT` names those that
# strict mode refuses.

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from benchmarks.patterns import beside_the_loop, on_the_loop
from benchmarks.patterns.scripted import THINKING

__all__ = ["PATTERNS", "STRICT", "THINKING", "make_app"]


def _patterns() -> dict[str, Callable[[], Any]]:
    starts = ("await_", "endpoint_", "async_tool_", "sync_", "load_", "save_", "hook_", "guardrail_", "instructions_")
    return {
        name: thing
        for module in (on_the_loop, beside_the_loop)
        for name, thing in vars(module).items()
        if name.startswith(starts) and name != "sync_tool"
    }


PATTERNS = _patterns()
#: what strict mode refuses by name and line; everything else works there too
STRICT = {
    *(name for name in PATTERNS if name.startswith(("hook_", "guardrail_", "instructions_", "load_", "save_"))),
    *("endpoint_asyncio_run", "endpoint_run_until_complete", "endpoint_get_response_sync", "endpoint_new_event_loop"),
    *(
        "endpoint_asyncio_runner",
        "endpoint_late_nest_asyncio",
        "endpoint_run_coroutine_threadsafe",
        "endpoint_nested_deep",
        "endpoint_parallel_asyncio_run",
    ),
    *("async_tool_asyncio_run", "async_tool_run_until_complete", "async_tool_get_response_sync"),
    *("sync_tool_run_until_complete", "sync_tool_runner_run_sync"),
    *("endpoint_anyio_run", "async_tool_runner_run_sync"),
}


def make_app() -> FastAPI:
    """GET /{pattern} runs the pattern and answers ``{"result": ...}``."""
    app = FastAPI()
    for name, pattern in PATTERNS.items():
        app.get(f"/{name}", name=name)(_endpoint(pattern))
    return app


def _endpoint(pattern: Callable[[], Any]) -> Callable[[], Any]:
    if asyncio.iscoroutinefunction(pattern):

        async def endpoint() -> dict[str, str]:
            return {"result": await pattern()}

        return endpoint

    def sync_endpoint() -> dict[str, str]:
        return {"result": pattern()}

    return sync_endpoint
