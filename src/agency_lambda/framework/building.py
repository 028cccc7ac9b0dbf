"""Building an agency: a fresh one, or the reason why it cannot run here."""

import inspect
import logging
import re
from contextvars import ContextVar
from copy import copy, deepcopy
from functools import cache, partial, wraps
from typing import TYPE_CHECKING, Any

from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework import caller_folder, conversation_starters, credentials, files, mcp_servers
from agency_lambda.framework.unsupported import refused_feature

if TYPE_CHECKING:
    from agency_swarm import Agency

    from agency_lambda.catalogue.entries import CreateAgency

#: where agency_swarm 1.11 loads tools; it logs what it cannot load, and goes on without
_LOADERS = (
    "agency_swarm.tools.tool_factory_utils.file_loader",
    "agency_swarm.agent.tools",
    "agency_swarm.agency.setup",
)
#: of Agency; each serves in a terminal or at a port
_SERVERS = ("copilot_demo", "run_fastapi", "terminal_demo", "tui")
_building: ContextVar[bool] = ContextVar("building", default=False)


class LostTool(RuntimeError):
    """A tool of the agency cannot be loaded. The text names its file; `__cause__` is why."""


def build(create_agency: "CreateAgency") -> "Agency":
    """Build an agency for one run. What the factory returns stays untouched: it may be one for all, made once.

    Raises:
        AgencyMisconfigured: the factory raised, a tool was lost, or what was made cannot run here. `__cause__` is why.
    """
    caller_folder.install()
    conversation_starters.install()
    files.install()
    mcp_servers.install(_building.get)
    credentials.prepare()  # it may make clients of openai
    _listen()
    token = _building.set(True)
    try:
        agency, processors = _collected(create_agency)
    except AgencyMisconfigured:
        raise
    except (Exception, SystemExit) as error:
        raise AgencyMisconfigured("The agency cannot be built. The log says why.") from error
    finally:
        _building.reset(token)
    if defect := _defect(agency):
        raise AgencyMisconfigured(defect)
    built = renewed(agency)
    built._trace_processors = processors
    return built


def renewed(agency: "Agency") -> "Agency":
    """Return a copy of an agency with a history, hooks and a user context of its own, on the same agents.

    Agency Swarm 1.11.0 keeps those on the agency; two runs on one would read each other's. `runs.isolation` copies the
    agents.
    """
    from agency_swarm.streaming.utils import EventStreamMerger
    from agency_swarm.utils.thread import ThreadManager

    made = copy(agency)
    made.thread_manager = ThreadManager(agency._load_threads_callback, agency._save_threads_callback)
    made.event_stream_merger = EventStreamMerger()
    made._default_run_hooks = [*agency._default_run_hooks]
    made.user_context = {name: _copied(value) for name, value in agency.user_context.items()}
    return made


def _copied(value: Any) -> Any:
    """A value of the user context for one run. What cannot be copied (a client, a lock) is the same for all."""
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - by whatever its class raises
        return value


def _collected(create_agency: "CreateAgency") -> tuple[Any, Any]:
    from agency_lambda.framework.models import tracing  # and the SDK, which building an agency imports anyway

    return tracing.collected(create_agency)


@cache
def _listen() -> None:
    """Have what the framework only logs raised while an agency is built, so that its module is not imported either."""
    for name in _LOADERS:
        logger = logging.getLogger(name)
        logger.error = partial(_error, logger.error)  # type: ignore[method-assign]
    from agency_swarm import Agency

    for name in _SERVERS:
        setattr(Agency, name, _not_while_building(name, getattr(Agency, name)))


def _not_while_building(name: str, own: Any) -> Any:
    @wraps(own)
    def called(*args: Any, **named: Any) -> Any:
        if _building.get():
            raise RuntimeError(f"{name}() serves until it is stopped: call it below `if __name__ == '__main__':`")
        return own(*args, **named)

    return called


def _error(own: Any, message: Any, *args: Any, **named: Any) -> None:
    """A logger's `error`. Where the framework caught an exception, that is its last argument."""
    if not _building.get():
        own(message, *args, **named)
        return
    cause = args[-1] if args and isinstance(args[-1], Exception) else None
    raise LostTool(str(message) % args if args else str(message)) from cause


def _defect(agency: Any) -> str | None:
    from agency_swarm import Agency

    if not isinstance(agency, Agency):
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
