"""The agencies that `agents/` offers, by their URL names. Nothing here is imported before a run or a listing asks."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from handler.errors import AgencyMisconfigured, UnknownName

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
        raise UnknownName(f"There is no agency {name!r}. GET /agencies lists them.")
    return name, known[name]


def build(create_agency: CreateAgency) -> "Agency":
    """A fresh agency: one that two runs share mixes their histories.

    Raises:
        AgencyMisconfigured: the factory raised (that stays in the log), or its history callbacks are `async def`,
            which the framework would never await.
    """
    try:
        agency = create_agency()
    except Exception as error:
        raise AgencyMisconfigured("The agency cannot be built. The log says why.") from error
    for kind in ("load", "save"):
        callback = getattr(agency, f"_{kind}_threads_callback", None)
        if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(getattr(callback, "__call__", None)):  # noqa: B004
            raise AgencyMisconfigured(
                f"{kind}_threads_callback is `async def`: Agency Swarm never awaits it, and the history would be lost. "
                "Write `def`, or leave it out: conversations are kept by the service."
            )
    return agency


def check() -> None:
    """Build every agency once, so that what cannot run is refused at start."""
    for create_agency in factories().values():
        build(create_agency)


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
