"""Every module of PACKAGES holds the same, deferred or not: what a new release of a dependency could break."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deferred_imports.packages import ANNOTATIONS, CLASSES, MODELS
from tests.library.conftest import PYTHONPATH

type Everything = dict[str, dict[str, str] | str]  # module -> what is in it, or why it cannot be imported

#: without us they hold what is there because all has run, or the dictionary that a body of a module runs in
STATE = {
    *(("anyio", "fix_package_names"), ("anyio", "set_deprecated_aliases")),
    *(("anyio.abc", "fix_package_names"), ("anyio.abc", "set_deprecated_aliases")),
    *(("httpx", "__locals"), ("openai", "__locals"), ("openai.lib._old_api", "__locals"), ("openai", "_client")),
    ("datamodel_code_generator.model.base", "_rebuild_namespace"),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Everything]:
    """Eagerly, and deferred."""
    folder = tmp_path_factory.mktemp("everything")
    with_and_without = [_start(folder, DEFER_IMPORTS="0"), _start(folder)]
    outputs = [process.communicate(timeout=300) for process in with_and_without]
    for process, (_, errors) in zip(with_and_without, outputs, strict=True):
        assert process.returncode == 0, errors[-2000:]
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


def _start(folder: Path, **variables: str) -> subprocess.Popen[str]:
    clean = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": PYTHONPATH,
        "STORE": f"sqlite:///{folder}/agency.db",
        "LETTERS_FOLDER": f"{folder}/letters",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the network when it is imported
        "OPENAI_API_KEY": "none",  # or some names of `openai` cannot be read
    }
    program = Path(__file__).with_name("everything.py")
    return subprocess.Popen(
        [sys.executable, str(program)],
        cwd=folder,
        env={**clean, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _contents(both: list[Everything]) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """The modules that can be imported eagerly, and then must be otherwise too."""
    eager, deferred = both
    found = []
    for module, content in eager.items():
        if isinstance(content, dict):
            other = deferred[module]
            assert isinstance(other, dict), f"{module}: {other}"
            found.append((module, content, other))
    return found


def test_every_module_holds_the_same(both: list[Everything]) -> None:
    contents = _contents(both)
    assert sum(len(content) for _, content, _ in contents) > 50_000
    different = [
        f"{module}.{name}: {content.get(name)} eagerly, {other.get(name)} deferred"
        for module, content, other in contents
        for name in sorted({*content, *other})
        if content.get(name) != other.get(name) and (module, name) not in STATE
    ]
    assert not different, "\n".join(line[:500] for line in different)


def test_what_is_deferred_by_name_is_there(both: list[Everything]) -> None:
    contents = {module: content for module, content, _ in _contents(both)}
    assert {*ANNOTATIONS, *MODELS} <= contents.keys()
    for module in MODELS:
        assert any("ModelMetaclass" in kind for kind in contents[module].values()), module
    named = [*ANNOTATIONS.items(), *CLASSES.items()]
    missing = [f"{module}.{name}" for module, names in named for name in {*names} - {*contents[module]}]
    assert not missing
