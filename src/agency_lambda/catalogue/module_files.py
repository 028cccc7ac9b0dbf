import sys
from importlib.machinery import PathFinder
from pathlib import Path

from agency_lambda.catalogue.entries import WHERE, Factory


def misplaced(factory: Factory) -> str | None:
    """Return why a module cannot be in `agents/`, or None. Imports nothing."""
    agents = Path(str(sys.modules["agencies"].__file__)).absolute().parent
    top, _, rest = factory.__module__.partition(".")
    there = (agents / top).is_dir() or (agents / f"{top}.py").is_file()
    if top == "agents" and not there:
        return f'{WHERE}: leave out "agents." and write "{rest}:{factory.target.partition(":")[2]}"'
    found = _folders(top)
    if there and found and not any(folder.is_relative_to(agents) for folder in found):
        return f"agents/{top} has a name that is taken (by {found[0]}): rename it"
    if not there and not found:
        return f"{WHERE}: there is no {top!r} in agents/ (for {factory.target!r})"
    missing = _first_missing(agents, factory.__module__.split(".")) if there else None
    return f"{WHERE}: there is no {missing} (for {factory.target!r})" if missing else None


def _folders(top: str) -> list[Path]:
    if top in sys.stdlib_module_names:
        return [Path("the standard library")]
    spec = PathFinder.find_spec(top)
    if spec is None:
        return []
    return [Path(place).absolute() for place in spec.submodule_search_locations or [str(spec.origin)]]


def _first_missing(agents: Path, parts: list[str]) -> str | None:
    for length in range(1, len(parts) + 1):
        place = agents.joinpath(*parts[:length])
        if not place.is_dir() and not place.with_name(f"{place.name}.py").is_file():
            return f"agents/{'/'.join(parts[:length])}.py"
    return None
