"""A dataclass is the same whoever has compiled what Python writes for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from handler import compiled
from infra import bundle_bytecode, bundle_dataclasses

ROOT = Path(__file__).parents[1]
MADE = """
import builtins, dataclasses, json, sys
from pathlib import Path
written = []
def noted(text, *rest):
    written.append(text)
    builtins.exec(text, *rest)
dataclasses.exec = noted
from handler import compiled
found = compiled.install(Path(sys.argv[1])) if len(sys.argv) > 1 else False
texts = []
def note(event, given):
    if event == "compile" and isinstance(given[0], bytes) and b"__create_fn__" in given[0]:
        texts.append(given[0])
sys.addaudithook(note)

@dataclasses.dataclass(frozen=True, order=True)
class Point:
    x: int
    y: list[int] = dataclasses.field(default_factory=list, compare=False)
    def __post_init__(self): object.__setattr__(self, "x", abs(self.x))

one, two = Point(-1), Point(2, [3])
try:
    one.x = 5
except dataclasses.FrozenInstanceError as error:
    refused = str(error)
told = [repr(one), repr(two), one < two, hash(one) == hash(Point(1)), dataclasses.replace(two, x=-4).x, refused]
told += [Point.__init__.__qualname__, Point.__init__.__annotations__ == {"x": int, "y": list[int], "return": None}]
told += [Point.__match_args__, Point.__init__.__module__, dataclasses.asdict(two)]
print(json.dumps({"found": found, "told": told, "written": written, "compiled": len(texts)}))
"""


def made(*file: Path) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", "-c", MADE, *map(str, file)]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """The file of a bundle that has MADE's dataclass."""
    file = tmp_path / "known.bin"
    plain = made()
    assert plain["compiled"]
    bundle_bytecode._compile_texts(plain["written"], file)  # type: ignore[arg-type]
    return file


def test_the_class_is_the_same_and_nothing_is_compiled(known: Path) -> None:
    ours, plain = made(known), made()
    assert (ours["found"], ours["compiled"], ours["told"]) == (True, 0, plain["told"])


def test_what_is_not_known_is_compiled_as_always(tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    bundle_bytecode._compile_texts([], empty)
    ours, plain = made(empty), made()
    assert (ours["found"], ours["compiled"], ours["told"]) == (True, plain["compiled"], plain["told"])


def test_what_another_python_has_made_is_not_used(known: Path) -> None:
    known.write_bytes(b"\0" + known.read_bytes()[1:])
    assert made(known)["found"] is False
    assert not compiled.install(known.with_name("nowhere.bin"))


def test_a_checkout_has_none() -> None:
    assert not compiled.FILE.exists()


def test_the_texts_are_those_of_what_a_run_imports() -> None:
    texts = json.loads(bundle_dataclasses.texts())
    assert len(texts) > 250
    assert all(text.startswith("def __create_fn__(") for text in texts)
    assert texts == sorted(set(texts))
