"""The agencies that `agents/` offers, by their names. Nothing of theirs is imported before a run or a listing asks."""

from collections.abc import Mapping
from typing import Any

from agency_lambda.catalogue import entries, manifest
from agency_lambda.catalogue.entries import Entry
from agency_lambda.errors import AgencyNotConfigured, UnknownName
from agency_lambda.framework.building import CreateAgency, build, unknown_agent
from agency_lambda.framework.description import describe
from lambda_loop import current_invocation

__all__ = [
    "CreateAgency",
    "Entry",
    "agents_of",
    "build",
    "check_model",
    "describe",
    "described",
    "description",
    "entry",
    "factories",
    "find",
    "find_entry",
    "knows_agents",
    "unknown_agent",
]

_described: dict[CreateAgency, dict[str, Any]] = {}


def factories() -> Mapping[str, CreateAgency]:
    """Return name -> function that builds, in the order of `agents/agencies.py`; the first is the default.

    Raises:
        AgencyMisconfigured: an entry is not as it should be.
    """
    return {name: entry.factory for name, entry in _entries().items()}


def _entries() -> Mapping[str, Entry]:
    from agencies import AGENCIES

    return entries.read(AGENCIES)


def entry(name: str) -> Entry:
    """Return an agency's entry, with the limits of its own."""
    known = _entries()
    return known[name] if name in known else Entry(create_agency=factories()[name])


def find(name: str | None) -> tuple[str, CreateAgency]:
    """Return a factory by name, or the default one.

    Raises:
        UnknownName: there is no such agency.
        AgencyNotConfigured: it lacks an environment variable.
    """
    known = factories()
    name = name or next(iter(known))
    if name not in known:
        said = f"There is no agency {name[:99]!r}. GET /agencies lists them."
        raise UnknownName(said, param="model", code="model_not_found")
    if lacking := manifest.lacking(name):
        if invocation := current_invocation.get():
            invocation.report.fields["not_configured"] = 1
        missing = LookupError(f"the environment lacks {', '.join(lacking)}")  # for the log, not for the caller
        raise AgencyNotConfigured(f"The agency {name!r} is not configured.") from missing
    return name, known[name]


def find_entry(model: str) -> tuple[str, Entry]:
    """Return the name and the entry of the agency that a model name "agency" or "agency/agent" addresses.

    Raises:
        UnknownName, AgencyNotConfigured: see `find`.
    """
    name, _ = find(model.partition("/")[0])
    return name, entry(name)


def check_model(model: str) -> None:
    """Refuse a model name that no agency has, or an agent of it that is known not to be there. Imports no agency.

    Raises:
        UnknownName, AgencyNotConfigured: see `find`.
    """
    agency, _, agent = model.partition("/")
    agency, _ = find(agency)
    known = agents_of(agency)
    if agent and known is not None and agent not in known:
        raise unknown_agent(agency, agent)


def knows_agents(model: str) -> bool:
    """Return whether `check_model` can tell if there is the agent that a model name addresses."""
    return agents_of(find(model.partition("/")[0])[0]) is not None


def agents_of(name: str) -> list[str] | None:
    """Return the names of an agency's agents; None while nobody knows them: it was neither described nor bundled."""
    described = _described.get(factories()[name]) or manifest.description(name)
    return [agent["name"] for agent in described["agents"]] if described else None


def description(name: str) -> dict[str, Any]:
    """Return what a caller may know of an agency. It is built once an environment for that.

    Raises:
        AgencyNotConfigured: see `find`. AgencyMisconfigured: see `build`.
    """
    name, create_agency = find(name)
    return described(name, create_agency)


def described(name: str, create_agency: CreateAgency) -> dict[str, Any]:
    """Return the description of what a factory builds, from the one time that it was asked."""
    if create_agency not in _described:
        _described[create_agency] = describe(name, build(create_agency))
    return _described[create_agency]
