"""Small packages whose imports wait."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import deferred_imports
from deferred_imports import names

type Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """write(**{"pkg/part": text}): files of the packages `pkg` and `other`, whose imports are deferred."""
    packages = {"pkg", "other"}
    deferred_before = {*names.DEFERRED}
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(tmp_path)
    deferred_imports.install(packages)

    def files(**texts: str) -> None:
        for path, text in {"pkg/__init__": "", **texts}.items():
            file = tmp_path / f"{path}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(dedent(text))

    yield files
    for name in list(sys.modules):
        if name.partition(".")[0] in packages:
            del sys.modules[name]
    names.DEFERRED.clear()
    names.DEFERRED.update(deferred_before)
