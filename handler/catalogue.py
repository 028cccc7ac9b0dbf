"""The agencies that `agents/` offers, by their URL names. Nothing here is imported before a run or a listing asks."""

import ast
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handler import caller_folder
from handler.errors import AgencyMisconfigured, UnknownName
from handler.features import refused_feature

if TYPE_CHECKING:
    from agency_swarm import Agency

CreateAgency = Callable[[], "Agency"]


def factories() -> Mapping[str, CreateAgency]:
    """URL name -> create_agency, as `agents/agencies.py` lists them; the first is the default."""
    from agencies import AGENCIES

    if not AGENCIES:
        raise AgencyMisconfigured("AGENCIES in agents/agencies.py is empty: name at least one create_agency.")
    return dict(AGENCIES)


def find(name: str | None) -> tuple[str, CreateAgency]:
    """A factory by name, or the default one.

    Raises:
        UnknownName: there is no such agency.
    """
    known = factories()
    name = name or next(iter(known))
    if name not in known:
        raise _unknown(name)
    return name, known[name]


def check_name(name: str) -> None:
    """Imports nothing for a name that `agencies.py` writes out.

    Raises:
        UnknownName: there is no such agency.
    """
    if name not in _written() and name not in factories():
        raise _unknown(name)


def _unknown(name: str) -> UnknownName:
    said = f"There is no agency {name[:99]!r}. GET /agencies lists them."
    return UnknownName(said, param="model", code="model_not_found")


def _written() -> set[str]:
    """The keys in AGENCIES = {...}, without importing it; there may be more."""
    spec = None if "agencies" in sys.modules else find_spec("agencies")
    if spec is None or not (spec.origin or "").endswith(".py"):
        return set()
    names = set()
    for each in ast.parse(Path(str(spec.origin)).read_bytes()).body:
        if isinstance(each, ast.Assign | ast.AnnAssign) and isinstance(each.value, ast.Dict):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            if any(isinstance(target, ast.Name) and target.id == "AGENCIES" for target in targets):
                names |= {str(key.value) for key in each.value.keys if isinstance(key, ast.Constant)}
    return names


def build(create_agency: CreateAgency) -> "Agency":
    """A fresh agency: one that two runs share mixes their histories.

    Raises:
        AgencyMisconfigured: the factory raised (that stays in the log), or what it made cannot run here.
    """
    caller_folder.install()
    try:
        agency = create_agency()
    except Exception as error:
        raise AgencyMisconfigured("The agency cannot be built. The log says why.") from error
    if defect := _defect(agency):
        raise AgencyMisconfigured(defect)
    agency._built_here = True
    return agency


def check() -> None:
    """Build every agency, so that what cannot run is refused at start.

    Raises:
        AgencyMisconfigured: names the agency, what is wrong, and where. For the terminal, not for a client.
    """
    from handler.models import offline_script

    for name, create_agency in _named(factories, "agents/agencies.py").items():
        for _ in range(2):  # the second shows whether the first is shared
            _named(partial(build, create_agency), f"agency {name!r}")
        _named(partial(offline_script, create_agency), f"offline.py of agency {name!r}")


def _named[T](call: Callable[[], T], what: str) -> T:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        cause = error.__cause__ or error
        last = traceback.extract_tb(cause.__traceback__)[-1]
        place = "" if isinstance(error, AgencyMisconfigured) and cause is error else f" ({last.filename}:{last.lineno})"
        raise AgencyMisconfigured(f"{what}: {type(cause).__name__}: {cause}{place}") from None


def _defect(agency: Any) -> str | None:
    from agency_swarm import Agency

    if not isinstance(agency, Agency):
        return f"create_agency() returned {type(agency).__name__}, not an Agency."
    if hasattr(agency, "_built_here"):
        return "create_agency() returned the same Agency twice: its users would share their histories. Make a new one."
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


def describe(name: str, agency: "Agency") -> dict[str, Any]:
    """What a caller may know of an agency: names, flows, tools; never instructions."""
    return {
        "name": name,
        "entry_points": [agent.name for agent in agency.entry_points],
        "agents": [
            {"name": agent.name, "tools": sorted(tool.name for tool in agent.tools)} for agent in agency.agents.values()
        ],
        "flows": [
            {"from": sender.name, "to": recipient.name} for sender, recipient in agency._derived_communication_flows
        ],
    }
