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
    """Return name -> factory. The first is the default.

    Raises:
        AgencyMisconfigured: an entry is invalid.
    """
    return {name: entry.factory for name, entry in _entries().items()}


def _entries() -> Mapping[str, Entry]:
    from agencies import AGENCIES

    return entries.read(AGENCIES)


def entry(name: str) -> Entry:
    known = _entries()
    return known[name] if name in known else Entry(create_agency=factories()[name])


def find(name: str | None) -> tuple[str, CreateAgency]:
    """Return name and factory; of the default for None.

    Raises:
        UnknownName: there is no such agency.
        AgencyNotConfigured: it lacks an environment variable.
    """
    known = factories()
    name = name or next(iter(known))
    if name not in known:
        message = f"There is no agency {name[:99]!r}. GET /agencies lists them."
        raise UnknownName(message, param="model", code="model_not_found")
    if lacking := manifest.lacking(name):
        if invocation := current_invocation.get():
            invocation.report.fields["not_configured"] = 1
        missing = LookupError(f"the environment lacks {', '.join(lacking)}")  # for the log, not for the caller
        raise AgencyNotConfigured(f"The agency {name!r} is not configured.") from missing
    return name, known[name]


def find_entry(model: str) -> tuple[str, Entry]:
    """model: "agency" or "agency/agent". Raises as `find` does."""
    name, _ = find(model.partition("/")[0])
    return name, entry(name)


def check_model(model: str) -> None:
    """Raise as `find` does, without importing an agency."""
    agency, _, agent = model.partition("/")
    agency, _ = find(agency)
    known = agents_of(agency)
    if agent and known is not None and agent not in known:
        raise unknown_agent(agency, agent)


def knows_agents(model: str) -> bool:
    return agents_of(find(model.partition("/")[0])[0]) is not None


def agents_of(name: str) -> list[str] | None:
    """Return None if they are unknown."""
    described = _described.get(factories()[name]) or manifest.description(name)
    return [agent["name"] for agent in described["agents"]] if described else None


def description(name: str) -> dict[str, Any]:
    name, create_agency = find(name)
    return described(name, create_agency)


def described(name: str, create_agency: CreateAgency) -> dict[str, Any]:
    # Built once an environment.
    if create_agency not in _described:
        _described[create_agency] = describe(name, build(create_agency))
    return {**_described[create_agency], "name": name}  # two names may have one factory
