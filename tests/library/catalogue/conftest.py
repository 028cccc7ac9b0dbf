"""A folder `agents/` of the test's own, as if it were the checkout's."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from agency_lambda import catalogue
from agency_lambda.catalogue import source_roots
from agency_lambda.framework.models import offline

type Agents = Callable[..., Path]


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agents]:
    """agents(table, **{"starter/agency": text}): write agencies.py and the modules; a name with a suffix as it is."""
    folder = tmp_path / "agents"
    folder.mkdir()
    before = set(sys.modules) - {"agencies"}
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "agencies", raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(source_roots, "_roots", {})
    monkeypatch.setattr(source_roots, "_aliases", {})
    monkeypatch.setattr(catalogue, "_described", {})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # by size and second it would be that of the text before
    offline._script.cache_clear()
    monkeypatch.chdir(tmp_path)

    def write(table: object, **texts: str) -> Path:
        (folder / "agencies.py").write_text(f"AGENCIES = {table!r}\n")
        for name, text in texts.items():
            file = folder / (name if "." in name else f"{name}.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text))
        return folder

    variables = dict(os.environ)
    yield write
    os.environ.clear()
    os.environ.update(variables)
    mine = [name for name in set(sys.modules) - before if any(str(folder) in str(place) for place in _places(name))]
    for name in mine:
        del sys.modules[name]
    sys.modules.pop("agencies", None)


def _places(name: str) -> list[object]:
    module = sys.modules[name]
    return [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
