"""The names of agents/agencies.py, and what it takes to know them."""

import sys
from pathlib import Path

import pytest

from handler import catalogue
from handler.errors import UnknownName

BROKEN = "raise RuntimeError('imported')"


@pytest.fixture
def agencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agencies.py of its own, not imported yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "agencies", raising=False)
    return tmp_path / "agencies.py"


@pytest.mark.parametrize("target", ["AGENCIES", "AGENCIES: dict[str, object]"])
def test_names_that_are_written_out_import_nothing(agencies: Path, target: str) -> None:
    agencies.write_text(f"{BROKEN}\n{target} = {{'one': one, 'two': two}}")
    catalogue.check_name("two")
    assert "agencies" not in sys.modules
    with pytest.raises(RuntimeError, match="imported"):
        catalogue.check_name("three")


@pytest.mark.parametrize(
    "code",
    [
        "AGENCIES = {name: create for name in ('one',)}",
        "AGENCIES = {**{'one': create}}",
        "AGENCIES = {'two': create}\nAGENCIES['one'] = create",
        "AGENCIES = {'two': create}\nAGENCIES |= {'one': create}",
        "AGENCIES = {}\nAGENCIES.update(one=create)",
        "ONE = 'one'\nAGENCIES = {ONE: create}",
        "if True:\n    AGENCIES = {'one': create}",
        "AGENCIES = {'two': create}\nif True:\n    AGENCIES = {'one': create}",
    ],
)
def test_names_that_are_made_are_found_too(agencies: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    agencies.write_text(f"def create(): ...\n{code}")
    catalogue.check_name("one")
    with pytest.raises(UnknownName, match="There is no agency 'three'"):
        catalogue.check_name("three")
