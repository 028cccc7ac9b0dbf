"""Calls an agency's factory, and names what keeps it from building an agency."""

import inspect
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy, deepcopy
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from agency_lambda import credentials
from agency_lambda.errors import AgencyMisconfigured, UnknownName
from agency_lambda.framework import patches
from agency_lambda.framework.unsupported import refused_feature

if TYPE_CHECKING:
    from agency_swarm import Agency

CreateAgency = Callable[[], "Agency"]

#: modules of agency_swarm 1.11 that only log a tool that cannot be loaded
_LOADERS = (
    "agency_swarm.tools.tool_factory_utils.file_loader",
    "agency_swarm.agent.tools",
    "agency_swarm.agency.setup",
)
#: methods of Agency that serve in a terminal or at a port
_SERVERS = ("copilot_demo", "run_fastapi", "terminal_demo", "tui")
_building: ContextVar[bool] = ContextVar("building", default=False)


class ToolNotLoaded(RuntimeError):
    """A tool cannot be loaded. The text names its file."""


def is_building() -> bool:
    return _building.get()


def build(create_agency: CreateAgency) -> "Agency":
    """Build an agency for one run. The factory may return one object for all runs: it is not changed.

    Raises:
        AgencyMisconfigured: it cannot be built, or cannot run here.
    """
    credentials.prepare()  # the factory may make clients of openai
    patches.install()
    token = _building.set(True)
    try:
        agency, processors = _with_trace_processors(create_agency)
    except AgencyMisconfigured:
        raise
    except (Exception, SystemExit) as error:
        raise AgencyMisconfigured("The agency cannot be built. The log says why.") from error
    finally:
        _building.reset(token)
    if defect := _defect(agency):
        raise AgencyMisconfigured(defect)
    built = copy_agency(agency)
    built._trace_processors = processors
    return built


def copy_agency(agency: "Agency") -> "Agency":
    """Return an agency with its own history, hooks and user context, on the same agents."""
    # Two runs on one agency would read each other's. `isolation` copies the agents.
    from agency_swarm.streaming.utils import EventStreamMerger

    from agency_lambda.framework.memory import Memory

    copied = copy(agency)
    copied.thread_manager = Memory(agency._load_threads_callback, agency._save_threads_callback)
    copied.event_stream_merger = EventStreamMerger()
    copied._default_run_hooks = [*agency._default_run_hooks]
    copied.user_context = {name: _copy_value(value) for name, value in agency.user_context.items()}
    return copied


def _copy_value(value: Any) -> Any:
    # A value that cannot be copied (a client, a lock) is shared between runs.
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - by whatever its class raises
        return value


def addressed_agent(agency: "Agency", name: str, agent: str) -> str:
    """Return the name of `agent`, or of the first entry point if it is "". Raises UnknownName."""
    if agent and agent not in agency.agents:
        raise unknown_agent(name, agent)
    return agent or agency.entry_points[0].name


def unknown_agent(agency: str, agent: str) -> UnknownName:
    text = f"The agency {agency!r} has no agent {agent[:99]!r}. GET /agencies lists them."
    return UnknownName(text, param="model", code="model_not_found")


def is_agency(value: object) -> bool:
    from agency_swarm import Agency

    return isinstance(value, Agency)


def _with_trace_processors(create_agency: CreateAgency) -> tuple[Any, Any]:
    from agency_lambda.framework.models import tracing  # and the SDK, which building an agency imports anyway

    return tracing.collected(create_agency)


def install() -> None:
    """Make tools that cannot be loaded, and servers, raise while an agency is built."""
    for name in _LOADERS:
        logger = logging.getLogger(name)
        logger.error = partial(_raise_if_building, logger.error)  # type: ignore[method-assign]
    from agency_swarm import Agency

    for name in _SERVERS:
        setattr(Agency, name, _refuse_while_building(name, getattr(Agency, name)))


def _refuse_while_building(name: str, serve: Any) -> Any:
    @wraps(serve)
    def checked(*args: Any, **named: Any) -> Any:
        if _building.get():
            raise RuntimeError(f"{name}() serves until it is stopped: call it below `if __name__ == '__main__':`")
        return serve(*args, **named)

    return checked


def _raise_if_building(log_error: Any, message: Any, *args: Any, **named: Any) -> None:
    # The last argument is the exception that the framework has caught.
    if not _building.get():
        log_error(message, *args, **named)
        return
    cause = args[-1] if args and isinstance(args[-1], Exception) else None
    raise ToolNotLoaded(str(message) % args if args else str(message)) from cause


def _defect(agency: Any) -> str | None:
    if not is_agency(agency):
        return f"create_agency() returned {type(agency).__name__}, not an Agency."
    for agent in agency.agents.values():
        if isinstance(agent.instructions, str) and re.fullmatch(r"\S+\.(md|txt)", agent.instructions):
            return f"The instructions file of {agent.name} does not exist."
    for kind in ("load", "save"):
        callback = getattr(agency, f"_{kind}_threads_callback", None)
        if callback and any(map(inspect.iscoroutinefunction, (callback, getattr(callback, "__call__", None)))):  # noqa: B004
            return (
                f"{kind}_threads_callback is `async def`: Agency Swarm never awaits it, and the history would be lost. "
                "Write `def`, or leave it out: conversations are kept by the service."
            )
    return refused_feature(agency)
