import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from agency_lambda import catalogue, credentials
from agency_lambda.catalogue import missing_variables, name_conflicts, own_modules, source_roots
from agency_lambda.catalogue.entries import Factory
from agency_lambda.catalogue.module_files import misplaced
from agency_lambda.catalogue.sandbox import sealed
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework import tool_files
from agency_lambda.framework.building import CreateAgency, ToolNotLoaded, build

_MOST_ATTEMPTS = 50  # at one agency that lacks variables
_PLACEHOLDERS = ("1", "http://127.0.0.1:9")  # for a text or a number, for an address
_NOT_THE_USERS = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "<")


@dataclass
class Finding:
    name: str
    problem: str | None = None
    variables: dict[str, str] = field(default_factory=dict)  # a missing variable -> where it is read
    doubt: str | None = None  # an error under placeholders, which may hide others
    unset: list[str] = field(default_factory=list)  # all variables that were looked up in vain
    description: dict[str, Any] | None = None
    files: set[Path] = field(default_factory=set)  # those in `agents/` that were imported

    @property
    def lacks(self) -> list[str]:
        return [
            f"agency {self.name!r} lacks the variable {name} ({place}){_dotenv_hint(name)}"
            for name, place in self.variables.items()
        ]


def check() -> None:
    """Raise AgencyMisconfigured with a line for each problem."""
    found = [line for finding in survey() for line in ([finding.problem] if finding.problem else finding.lacks)]
    if found:
        raise AgencyMisconfigured("\n".join(found))


def survey(*, fill: bool = False) -> list[Finding]:
    """Build every agency.

    fill: put placeholders for missing variables to find the next ones, and write no files.
        No module that was imported with a placeholder stays in `sys.modules`.
    """
    own_modules.import_all()
    credentials.prepare()
    owners: dict[str, Path] = {}
    with sealed(read_only=fill):
        return [_finding(name, create_agency, owners, fill=fill) for name, create_agency in _read().items()]


def _read() -> dict[str, CreateAgency]:
    try:
        return dict(catalogue.factories())
    except AgencyMisconfigured:
        raise
    except Exception as error:
        raise AgencyMisconfigured(f"{place(error)}: {_text(error)}") from error


def _finding(name: str, create_agency: CreateAgency, owners: dict[str, Path], *, fill: bool) -> Finding:
    finding, before = Finding(name), set(sys.modules)
    if wrong := misplaced(create_agency) if isinstance(create_agency, Factory) else None:
        finding.problem = f"agency {name!r}: {wrong}"
        return finding
    with missing_variables.looked_up_in_vain() as unset:
        error = _attempts(finding, create_agency, fill=fill)
    finding.unset = list(unset)
    claimed = name_conflicts.of_agency(create_agency.__module__, error) if isinstance(create_agency, Factory) else {}
    wrong = name_conflicts.conflict(claimed, owners)
    if not wrong and error and _counts(error, finding):
        wrong = reason(error, create_agency)
    elif error and not missing_variables.lacking(error):
        finding.doubt = reason(error, create_agency)
    wrong = wrong or _lost_tool(create_agency, finding)
    finding.problem = f"agency {name!r}: {wrong}" if wrong else None
    agents = Path(str(sys.modules["agencies"].__file__)).absolute().parent
    finding.files = name_conflicts.loaded(agents)
    if fill and finding.variables:
        source_roots.unload(agents, set(sys.modules) - before)
    return finding


def _attempts(finding: Finding, create_agency: CreateAgency, *, fill: bool) -> Exception | SystemExit | None:
    # With `fill`, tries each kind of placeholder in turn. Returns the last error.
    error = _attempt(finding, create_agency)
    for placeholder in _PLACEHOLDERS:
        filled = dict[str, str]()
        for _ in range(_MOST_ATTEMPTS):
            missing = missing_variables.lacking(error) if error else {}
            finding.variables |= {name: place(raised) for name, raised in missing.items()}
            names = [name.partition("|")[0] for name in missing]
            if not fill or not missing or any(name in os.environ for name in names):
                break
            filled |= dict.fromkeys(names, placeholder)
            os.environ.update(filled)
            error = _attempt(finding, create_agency)
        for name in filled:
            os.environ.pop(name, None)  # the agency may have done so
        if error is None or not filled or _is_certain(error):
            break
        error = _attempt(finding, create_agency) if placeholder != _PLACEHOLDERS[-1] else error
    return error


def _attempt(finding: Finding, create_agency: CreateAgency) -> Exception | SystemExit | None:
    # Builds it twice, as a second run will.
    from agency_lambda.framework.models.offline import agency_script

    try:
        finding.description = catalogue.described(finding.name, create_agency)
        catalogue.entry(finding.name).check_flows(finding.description)
        build(create_agency)
        agency_script(create_agency)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is shown
        return error
    return None


def _lost_tool(create_agency: CreateAgency, finding: Finding) -> str | None:
    # The framework passes such a tool over: the agency would run without it.
    described = finding.description or {"agents": []}
    names = {tool for agent in described["agents"] for tool in agent["tools"]}
    packages = source_roots.packages(create_agency.__module__) if isinstance(create_agency, Factory) else []
    folders = [folder for package in packages for folder in source_roots.folders(package)]
    for file, line, tool in tool_files.without_tool():
        if tool not in names and any(Path(file).is_relative_to(folder) for folder in folders):
            return f"the tool {tool} is not found: name the class like its file ({_relative(file)}:{line})"
    return None


def _counts(error: BaseException, finding: Finding) -> bool:
    # With placeholders, only an error that no value could prevent is the agency's.
    return not finding.variables or _is_certain(error)


def _is_certain(error: BaseException) -> bool:
    return not missing_variables.lacking(error) and isinstance(
        _cause(error), ImportError | SyntaxError | AgencyMisconfigured
    )


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, AgencyMisconfigured | ToolNotLoaded) and error.__cause__:
        error = error.__cause__
    return error


def reason(error: BaseException, create_agency: CreateAgency | None = None) -> str:
    cause = _cause(error)
    if isinstance(cause, AgencyMisconfigured):
        return f"{cause}{_defined(create_agency)}"
    if isinstance(cause, ToolNotLoaded):
        return str(cause)
    return f"{_text(cause)} ({place(error)})"


def _text(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, SyntaxError):
        text = error.msg
    elif isinstance(error, ImportError) and error.path:
        text = text.removesuffix(f" ({error.path})")
    return f"{type(error).__name__}: {text}"


def place(error: BaseException) -> str:
    """Return "file:line" of the user's code nearest to the error."""
    cause = _cause(error)
    if isinstance(cause, SyntaxError) and cause.filename:
        return f"{_relative(cause.filename)}:{cause.lineno}"
    found = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(cause.__traceback__)]
    own = [line for line in found if not line[0].startswith(_NOT_THE_USERS)]
    if not own and isinstance(cause, ImportError):  # none of the user's code has run
        return "agents/agencies.py"
    file, number = (own or found or [("?", 0)])[-1]
    return f"{_relative(file)}:{number}"


def _dotenv_hint(variable: str) -> str:
    from dotenv import dotenv_values

    if any(name in dotenv_values(".env") for name in variable.split("|")):
        return ": it is in .env: call load_dotenv() before this line, or export it"
    return ""


def _defined(create_agency: CreateAgency | None) -> str:
    try:
        function = create_agency.named() if isinstance(create_agency, Factory) else create_agency
    except Exception:  # noqa: BLE001 - that is what the sentence is about
        return ""
    if not isinstance(function, FunctionType):
        return ""
    return f" ({_relative(function.__code__.co_filename)}:{function.__code__.co_firstlineno})"


def _relative(file: str) -> str:
    return os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else file
