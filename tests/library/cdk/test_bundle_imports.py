"""What the code in the bundle imports is there, too; what is never imported does not count."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agency_lambda_cdk.bundle import imports, sources
from agency_lambda_cdk.bundle.sources import BundleError

LOCK = (Path(__file__).parents[3] / "requirements.txt").read_text()
THERE = {"openai", "agencies", "desk", "starter", "handler", *sys.stdlib_module_names}


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """refused(**{"desk/a": text}): check what is reachable from desk/a.py and handler/api.py."""
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    (tmp_path / "requirements.txt").write_text(LOCK)

    def check(**texts: str) -> None:
        for name, text in {"desk/a": "", **texts}.items():
            file = tmp_path / "agents" / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        agents = tmp_path / "agents"
        roots = [agents, agents / "desk"]
        files = imports.reachable([agents / "desk" / "a.py"], roots)
        code = "\n".join(file.read_text() for file in files)
        imports.check(files, roots, code, THERE)

    return check


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"desk/a": "def f():\n    import pandas.io"}, "agents/desk/a.py imports pandas.io, which the bundle"),
        ({"desk/a": "import openai.tests"}, "agents/desk/a.py imports openai.tests"),
        ({"desk/a": "x = (\n"}, r"agents/desk/a.py, line 1: '\(' was never closed"),
        ({"desk/a": "from . import b", "desk/b": "import pandas"}, "agents/desk/b.py imports pandas"),
        ({"desk/a": "def f():\n    import b", "desk/b": "import pandas"}, "agents/desk/b.py imports pandas"),
        ({"desk/a": "import desk.c.d", "desk/c/__init__": "import x1"}, "agents/desk/c/__init__.py imports x1"),
        (
            {"desk/a": "from c.d import E", "desk/c/d": "from ..e import F", "desk/e": "import x2"},
            "desk/e.py imports x2",
        ),
    ],
)
def test_what_would_not_be_there_is_refused(refused: Callable[..., None], texts: dict[str, str], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        refused(**texts)


def test_no_package_is_named_but_those_of_the_lock_file(refused: Callable[..., None]) -> None:
    with pytest.raises(BundleError, match=r"imports tokenizers.*: write tokenizers into agents/requirements\.in"):
        refused(**{"desk/a": "from tokenizers import T"})
    with pytest.raises(BundleError) as caught:
        refused(**{"desk/a": "from example_agent import example_agent"})
    assert "example" not in str(caught.value).partition("does not have: ")[2]
    assert "no file of yours, and no package of agents/requirements.txt" in str(caught.value)


def test_what_may_be_missing_may_be_missing(refused: Callable[..., None]) -> None:
    tries = "try:\n    import pandas\nexcept ImportError:\n    pass\nif __name__ == '__main__':\n    import tests"
    refused(
        **{"desk/a": f"import json, openai.types\nfrom . import b\nfrom desk import b\nimport b\n{tries}", "desk/b": ""}
    )


def test_what_is_never_imported_does_not_count(refused: Callable[..., None]) -> None:
    refused(**{"desk/main": "import uvicorn_not_there", "desk/tests/test_a": "import pytest_not_there", "other/x": "("})
