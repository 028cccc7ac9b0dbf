"""What Python's own tools, pydantic and threads make of modules whose imports wait."""

import compileall
import importlib
import importlib.resources
import inspect
import pickle
import pkgutil
import threading
import typing
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from unittest import mock

import pytest

from deferred_imports import names
from tests.library.deferred.conftest import Write
from tests.library.deferred.test_rules import THING, loaded

USER = "from pkg.part import Thing\ndef use(): return Thing\n"
ITEM = "from pydantic import BaseModel, TypeAdapter\nclass Item(BaseModel):\n    number: int\n"


@pytest.mark.parametrize("is_read_before", [False, True])
def test_mock_patches_a_name_that_waits_and_puts_it_back(write: Write, is_read_before: bool) -> None:
    write(**{"pkg/part": THING, "pkg/user": USER})
    if is_read_before:
        import_module("pkg.user").use()
    with mock.patch("pkg.user.Thing", 5):
        assert import_module("pkg.user").use() == 5
    assert import_module("pkg.user").use() is import_module("pkg.part").Thing


def test_mock_puts_back_a_function_that_is_named_like_a_part(write: Write) -> None:
    write(**{"pkg/__init__": "from pkg.run import run", "pkg/run": "def run(): return 1"})
    with mock.patch("pkg.run", 5):
        assert import_module("pkg").run == 5
    assert import_module("pkg").run() == 1


def test_threads_that_read_one_name_get_one_object(write: Write) -> None:
    slow = "import time\ntime.sleep(0.05)\n"
    parts = {f"pkg/part{number}": slow + THING for number in range(4)}
    imports = "\n".join(f"from pkg.part{number} import Thing as thing{number}" for number in range(4))
    write(**parts, **{"pkg/user": f"{imports}\ndef use(): return thing0, thing1, thing2, thing3"})
    user = import_module("pkg.user")
    start = threading.Barrier(8)

    def read(number: int) -> object:
        start.wait()
        return user.use() if number % 2 else tuple(getattr(user, f"thing{part}") for part in range(4))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read, range(8)))) == 1


def test_a_thread_that_comes_too_late_takes_what_is_there(write: Write) -> None:
    write(**{"pkg/part": THING, "pkg/user": USER})
    user = import_module("pkg.user")
    waiting = user.__builtins__
    knows = waiting.knows

    def and_then_another_is_quicker(name: str) -> bool:
        known = knows(name)
        waiting.knows = knows
        user.use()
        return known

    waiting.knows = and_then_another_is_quicker
    assert user.Thing is user.use()


@pytest.mark.parametrize(
    ("made", "given"),
    [
        ("made = TypeAdapter(list[Item])", [{"number": 1}]),
        ("made = TypeAdapter(list['Item'])", [{"number": 1}]),
        ("made: TypeAdapter[Item] = TypeAdapter(type=Item, config=None)", {"number": 1}),
        ("made = TypeAdapter[Item](Item)", {"number": 1}),
        ("made = {1: TypeAdapter(Item)}[1]", {"number": 1}),
        ("Alias = TypeAdapter\nmade = Alias(Item)", {"number": 1}),
        ("class Mine(TypeAdapter): pass\nmade = Mine(Item)", {"number": 1}),
        ("made = (lambda: TypeAdapter(Item))()", {"number": 1}),
        ("check = TypeAdapter(Item).validate_python\nmade = TypeAdapter(Item)", {"number": 1}),
    ],
)
def test_type_adapters_work_wherever_they_are_made(write: Write, made: str, given: object) -> None:
    write(**{"pkg/user": f"{ITEM}{made}\n"})
    user = import_module("pkg.user")
    assert user.made.dump_python(user.made.validate_python(given)) == given
    assert "handler" not in type(user.made).__module__


def test_a_type_adapter_at_the_top_waits(write: Write) -> None:
    write(**{"pkg/user": f"{ITEM}made = TypeAdapter(Item)\n"})
    user = import_module("pkg.user")
    assert "made" not in vars(user)
    assert user.made is user.made


def test_names_of_annotations_alone_stay_forward_references(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(names.ANNOTATIONS, "pkg.user", ("Thing",))
    body = """
        from dataclasses import dataclass
        from pkg.part import Thing
        def f(a: Thing | None, *b: list[Thing]) -> dict[str, Thing]: ...
        class Holder:
            held: Thing
            def g(self) -> "Thing": return Thing()
        @dataclass
        class Data:
            held: Thing | None = None
    """
    write(**{"pkg/part": THING, "pkg/user": body})
    user = import_module("pkg.user")
    assert loaded() == {"pkg", "pkg.user"}
    hints = [typing.get_type_hints(each) for each in (user.f, user.Holder, user.Holder.g, user.Data)]
    thing = import_module("pkg.part").Thing
    assert hints[0] == {"a": thing | None, "b": list[thing], "return": dict[str, thing]}
    assert hints[1:] == [{"held": thing}, {"return": thing}, {"held": thing | None}]
    assert type(user.Holder().g()) is thing


def test_classes_are_made_when_they_are_first_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(names.CLASSES, "pkg.user", ("Base", "Derived"))
    body = """
        from pkg.part import Thing
        class Base:
            made = Thing()
            def held(self, it=Thing()): return it
        class Derived(Base):
            def held(self): return super().held()
        class Other: pass
        def use(): return Derived()
    """
    write(**{"pkg/part": THING, "pkg/user": body})
    user = import_module("pkg.user")
    assert user.Other.__name__ == "Other"
    assert loaded() == {"pkg", "pkg.user"}
    made = user.use()
    assert loaded() == {"pkg", "pkg.user", "pkg.part"}
    thing = import_module("pkg.part").Thing
    assert type(made).__mro__ == (user.Derived, user.Base, object)
    assert isinstance(made.held(), thing)
    assert isinstance(user.Base.made, thing)
    assert (user.Base.__module__, user.Derived.__qualname__) == ("pkg.user", "Derived")
    assert user.Derived is type(made)


def test_models_are_completed_at_their_first_use(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MODELS", frozenset({"pkg.user"}))
    write(
        **{"pkg/user": f"{ITEM}class Items(BaseModel):\n    items: list[Item]\nclass More(Items):\n    more: 'Item'\n"}
    )
    user = import_module("pkg.user")
    assert not user.More.__pydantic_complete__
    assert user.More(items=[{"number": 1}], more={"number": 2}).model_dump()["more"] == {"number": 2}
    assert user.Items.model_json_schema()["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}

    class Mine(user.Item):  # type: ignore[name-defined, misc]
        name: str

    assert Mine(number=1, name="a").model_dump() == {"number": 1, "name": "a"}


def test_a_package_as_bytecode_alone_waits_too(write: Write, tmp_path: Path) -> None:
    write(**{"pkg/part": THING, "pkg/user": USER})
    assert compileall.compile_dir(tmp_path, quiet=1, legacy=True)
    for source in tmp_path.rglob("*.py"):
        source.unlink()
    importlib.invalidate_caches()
    user = import_module("pkg.user")
    assert user.__file__.endswith(".pyc")
    assert loaded() == {"pkg", "pkg.user"}
    assert user.use() is import_module("pkg.part").Thing


def test_what_waits_can_be_pickled_shown_and_listed(write: Write, tmp_path: Path) -> None:
    write(**{"pkg/part": THING, "pkg/user": USER})
    (tmp_path / "pkg" / "text.txt").write_text("hello")
    user = import_module("pkg.user")
    assert pickle.loads(pickle.dumps(user.use)) is user.use
    assert type(pickle.loads(pickle.dumps(user.Thing()))) is user.Thing
    assert inspect.getsource(user.Thing) == THING
    assert inspect.getsource(user) == USER
    assert importlib.resources.files("pkg").joinpath("text.txt").read_text() == "hello"
    assert [part.name for part in pkgutil.iter_modules(import_module("pkg").__path__)] == ["part", "user"]
    assert {"Thing", "use"} <= {name for name, _ in inspect.getmembers(user)}


def test_functions_from_before_a_reload_still_work(write: Write) -> None:
    write(**{"pkg/part": THING, "pkg/user": USER})
    user = import_module("pkg.user")
    before = user.use
    thing = before()
    assert importlib.reload(user) is user
    assert before() is user.use() is thing
