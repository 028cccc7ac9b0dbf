import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agency_lambda.catalogue import source_roots
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.building import CreateAgency, is_agency
from agency_lambda.validators import Approvers, Transport

logger = logging.getLogger(__name__)

WHERE = "AGENCIES in agents/agencies.py"
_NAME = re.compile(r"[^/\s]{1,64}")
_CALLBACKS = ("load_threads_callback", "save_threads_callback")
Flow = Annotated[
    str,
    StringConstraints(pattern=r"\A[^>]+>[^>]+\z"),
    AfterValidator(lambda flow: re.sub(r"\s*>\s*", ">", flow.strip())),
]
"""Two names of agents, "Sender>Recipient"; spaces around them do not count."""
ImportString = Annotated[str, StringConstraints(pattern=r"\A[\w-]+(\.[\w-]+)*:\w+(\.\w+)*\z")]


class Entry(BaseModel):
    """None: the setting applies, such as MAX_MODEL_CALLS."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    create_agency: ImportString | Callable[..., Any] = Field(union_mode="left_to_right")
    max_model_calls: Annotated[int, Field(ge=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    max_usd: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    approvers: Approvers | None = None
    messages: dict[Flow, Transport] | None = None
    description: Annotated[str, Field(min_length=1, max_length=1_000)] | None = (
        None  # for callers: what it does for them
    )

    def transport(self, sender: str, recipient: str) -> Transport | None:
        """Return how one agent's messages reach another, or None for AGENT_MESSAGES."""
        return (self.messages or {}).get(f"{sender}>{recipient}")

    def check_flows(self, description: Mapping[str, Any]) -> None:
        """Raise AgencyMisconfigured if `messages` has a flow that the agency has not. description: of the agency."""
        known = {f"{flow['from']}>{flow['to']}" for flow in description["flows"]}
        if unknown := sorted((self.messages or {}).keys() - known):
            names = ", ".join(sorted(known)) or "none"
            raise AgencyMisconfigured(f"messages: the agency has no flow {unknown[0]!r}. Its flows: {names}")

    @property
    def factory(self) -> CreateAgency:
        return Factory(self.create_agency) if isinstance(self.create_agency, str) else self.create_agency


def read(agencies: object) -> dict[str, Entry]:
    """Raises AgencyMisconfigured for an invalid entry."""
    if not isinstance(agencies, Mapping) or not agencies:
        raise AgencyMisconfigured(f'{WHERE} names no agency. Write {{"name": "folder.module:create_agency"}}.')
    return {_checked_name(name): _entry(name, value) for name, value in agencies.items()}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise AgencyMisconfigured(f"{WHERE}: {name!r} cannot be a name: write 1 to 64 characters, no space, no slash.")
    return name


def _entry(name: str, value: object) -> Entry:
    if callable(value):
        _warn(name)
    fields = value if isinstance(value, Mapping) else {"create_agency": value}
    try:
        return Entry.model_validate(dict(fields))
    except ValidationError as error:
        raise AgencyMisconfigured(f"{WHERE}: {name!r}: {_sentence(error)}") from None


@cache
def _warn(name: str) -> None:
    message = (
        '%s: %r is a function, which the next release does not take: write the text "folder.module:create_agency".'
    )
    logger.warning(message, WHERE, name)


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    field = str(first["loc"][0])
    if field == "messages":
        return f"messages: {_sentence_of_messages(first['loc'][1:], first['input'])}"
    if field == "create_agency" and first["type"] != "missing":
        return f'{first["input"]!r} is no import string: write "folder.module:create_agency"'
    known = ", ".join(Entry.model_fields)
    return f"{field}: {first['msg']}" + (f". Known: {known}" if first["type"] == "extra_forbidden" else "")


def _sentence_of_messages(place: Sequence[Any], value: object) -> str:
    """Say what to write. place: of a wrong flow or transport within `messages`."""
    if not place:
        return f'{value!r} is no table of flows: write {{"Sender>Recipient": "queue"}}, or set AGENT_MESSAGES for all'
    if "[key]" in place:
        return f'{value!r} is no flow: write the names of two agents, "Sender>Recipient"'
    return f'{place[0]!r} has {value!r}: write "memory" or "queue"'


@dataclass(frozen=True)
class Factory:
    """Builds the agency of an import string. The first call imports the module."""

    target: str

    @property
    def __module__(self) -> str:  # type: ignore[override]  # as a function's: the module `offline` is looked for beside it
        return self.target.partition(":")[0]

    def __call__(self) -> Any:
        with source_roots.of_agency(self.__module__):
            named = self.named()
            return _called(named, self.target) if callable(named) else named

    def named(self) -> Any:
        """Raises AgencyMisconfigured if the import string names nothing."""
        module, _, names = self.target.partition(":")
        value: Any = import_module(module)
        for name in names.split("."):
            if not hasattr(value, name):
                raise AgencyMisconfigured(f"{self.target}: there is no {name!r} in {module}.")
            value = getattr(value, name)
        if not callable(value) and not is_agency(value):
            raise AgencyMisconfigured(
                f"{self.target} is of type {type(value).__name__}: name a function that returns a new Agency."
            )
        return value


def _called(create_agency: Callable[..., Any], target: str) -> Any:
    # A required callback is None: the service keeps conversations.
    required = [
        parameter.name
        for parameter in inspect.signature(create_agency).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if others := [name for name in required if name not in _CALLBACKS]:
        raise AgencyMisconfigured(f"{target} needs {others[0]!r}, which nobody gives: give the parameter a default.")
    if inspect.iscoroutinefunction(create_agency):
        raise AgencyMisconfigured(f"{target} is `async def`: write `def`.")
    return create_agency(**dict.fromkeys(required))
