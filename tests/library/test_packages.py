"""The packages of src: each says what it is, names what is public, and has no circle of imports."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGES = sorted(path.parent.name for path in SRC.glob("*/__init__.py"))
pytestmark = pytest.mark.parametrize("package", PACKAGES)


def imports_at_load(path: Path, package: str) -> Iterator[str]:
    """Names that a file imports when it is loaded: modules, and `module.name` for each name from one."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield from (module, f"{module}.{alias.name}")


def graph(package: str) -> dict[str, set[str]]:
    """Return each module of a package and the modules of it that it imports; packages for their own names only."""
    files: dict[str, Path] = {}
    for path in (SRC / package).rglob("*.py"):
        files[".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")] = path
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found[name] = {
            each for each in imports_at_load(path, inside) if each in files and not f"{name}.".startswith(f"{each}.")
        }
    return found


def test_a_package_has_a_short_readme_and_public_names(package: str) -> None:
    assert len((SRC / package / "README.md").read_text().splitlines()) <= 15
    assert import_module(package).__all__
    assert (SRC / package / "py.typed").exists()


def test_modules_of_a_package_import_one_another_without_a_circle(package: str) -> None:
    modules = graph(package)
    assert len(modules) > 2
    list(TopologicalSorter(modules).static_order())  # raises CycleError, which names them
