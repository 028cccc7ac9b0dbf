"""When an import is done that waits, and that nobody can tell but by the time it takes."""

import builtins
import sys
import typing
from importlib import import_module
from typing import Any

import pytest

from tests.library.deferred.conftest import Write

THING = "class Thing:\n    pass\n"


def loaded() -> set[str]:
    return {name for name in sys.modules if name.partition(".")[0] in ("pkg", "other")}


@pytest.mark.parametrize(
    ("imported", "read"),
    [
        ("from pkg.part import Thing", "Thing"),
        ("from pkg.part import Thing as Other", "Other"),
        ("from .part import Thing", "Thing"),
        ("from pkg import part", "part.Thing"),
        ("from . import part", "part.Thing"),
        ("import pkg.part", "pkg.part.Thing"),
        ("import pkg.part as p", "p.Thing"),
        ("import pkg.part, pkg.second", "(pkg.second, pkg.part.Thing)[1]"),
    ],
)
def test_an_import_waits_for_its_first_read(write: Write, imported: str, read: str) -> None:
    write(**{"pkg/part": THING, "pkg/second": "", "pkg/user": f"{imported}\ndef use(): return {read}\n"})
    user = import_module("pkg.user")
    assert loaded() == {"pkg", "pkg.user"}
    assert user.use() is import_module("pkg.part").Thing
    assert user.use() is user.use()


@pytest.mark.parametrize(
    "use",
    [
        "class Mine(Thing): x = 1",
        "Thing()",
        "@Thing\ndef f(): pass",
        "class Mine:\n    held = Thing",
        "[Thing for _ in '1']",
    ],
)
def test_the_body_of_a_module_reads_what_it_needs(write: Write, use: str) -> None:
    write(**{"pkg/part": "class Thing:\n    def __init__(self, *given): pass\n"})
    write(**{"pkg/user": f"from pkg.part import Thing\nbefore = 1\n{use}\n"})
    import_module("pkg.user")
    assert loaded() == {"pkg", "pkg.user", "pkg.part"}


def test_others_read_it_by_attribute_or_import(write: Write) -> None:
    write(**{"pkg/part": THING, "pkg/user": "from pkg.part import Thing", "pkg/third": "from pkg.user import Thing"})
    third = import_module("pkg.third")
    assert "Thing" in dir(third)
    assert loaded() == {"pkg", "pkg.third"}
    space: dict[str, Any] = {}
    exec("from pkg.third import Thing", space)
    assert space["Thing"] is third.Thing is import_module("pkg.part").Thing


@pytest.mark.parametrize("listed", ["", "__all__ = ['Thing']"])
def test_a_star_takes_what_waits(write: Write, listed: str) -> None:
    write(**{"pkg/part": THING + "_private = 1", "pkg/user": f"{listed}\nfrom pkg.part import Thing, _private"})
    write(**{"pkg/third": "from pkg.user import *"})
    space: dict[str, Any] = {}
    exec("from pkg.user import *", space)
    assert space["Thing"] is import_module("pkg.part").Thing is import_module("pkg.third").Thing
    assert "_private" not in space


def test_a_program_that_names_no_such_package_is_not_touched(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(**{"pkg/part": THING, "mine": "from pkg.part import Thing"})
    assert "Thing" in vars(import_module("mine"))
    assert "pkg.part" in loaded()
    monkeypatch.delitem(sys.modules, "mine")


def test_annotations_in_text_are_understood(write: Write) -> None:
    text = "from __future__ import annotations\nfrom pkg.part import Thing\ndef f(a: Thing | None) -> list[Thing]: ..."
    write(**{"pkg/part": THING, "pkg/user": text})
    user = import_module("pkg.user")
    assert loaded() == {"pkg", "pkg.user"}
    thing = import_module("pkg.part").Thing
    assert typing.get_type_hints(user.f) == {"a": thing | None, "return": list[thing]}
    assert eval("Thing", vars(user)) is thing


def test_the_annotations_of_a_class_are_understood_first_of_all(write: Write) -> None:
    text = "from __future__ import annotations\nfrom pkg.part import Thing\nfrom pkg.missing import missing\n"
    write(**{"pkg/part": THING, "pkg/user": f"{text}class Holder:\n    held: Thing | None\n"})
    user = import_module("pkg.user")
    assert loaded() == {"pkg", "pkg.user"}
    assert typing.get_type_hints(user.Holder) == {"held": user.Thing | None}


@pytest.mark.parametrize(
    "guarded",
    [
        "try:\n    from pkg.missing import Thing\nexcept ImportError:\n    Thing = None",
        "try:\n    import pkg.missing\nexcept ImportError:\n    Thing = None",
        "try:\n    from pkg.part import Missing\nexcept ImportError:\n    Thing = None",
        "import contextlib\nThing = None\nwith contextlib.suppress(ImportError):\n    from pkg.missing import Thing",
    ],
)
def test_a_guarded_import_is_done_at_once(write: Write, guarded: str) -> None:
    write(**{"pkg/part": THING, "pkg/user": guarded})
    assert import_module("pkg.user").Thing is None


@pytest.mark.parametrize(
    "at_once", ["class Holder:\n    from pkg.part import Thing", "def f():\n    import pkg.part\nf()"]
)
def test_an_import_in_a_body_of_its_own_is_done_at_once(write: Write, at_once: str) -> None:
    write(**{"pkg/part": THING, "pkg/user": at_once})
    import_module("pkg.user")
    assert "pkg.part" in loaded()


@pytest.mark.parametrize(
    "imported",
    [
        "from pkg.missing import Thing",
        "from pkg.part import Thing",
        "import pkg.missing as Thing",
        "from . import Thing",
    ],
)
def test_what_is_missing_is_said_at_every_read(write: Write, imported: str) -> None:
    write(**{"pkg/part": "", "pkg/user": f"{imported}\ndef use(): return Thing\n"})
    user = import_module("pkg.user")
    for _ in range(2):
        with pytest.raises(ImportError):
            user.use()
        with pytest.raises(ImportError):
            _ = user.Thing


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        ("ImportError('whole', name='me')", "whole"),
        ("KeyError('me')", "KeyError"),
        ("AttributeError('a')", "Attribute"),
    ],
)
def test_an_error_of_the_imported_module_arrives(write: Write, raised: str, seen: str) -> None:
    write(**{"pkg/part": f"raise {raised}", "pkg/user": "from pkg.part import Thing\ndef use(): return Thing\n"})
    user = import_module("pkg.user")
    with pytest.raises(ImportError, match=seen):
        user.use()
    with pytest.raises(ImportError, match=seen):
        _ = user.Thing


def test_an_unknown_name_is_a_name_error(write: Write) -> None:
    write(**{"pkg/user": "def use(): return nowhere"})
    user = import_module("pkg.user")
    with pytest.raises(NameError):
        user.use()
    with pytest.raises(AttributeError):
        _ = user.nowhere


def test_an_import_that_was_interrupted_is_done_by_the_next_read(write: Write) -> None:
    stop = (
        "import builtins\nif not hasattr(builtins, 'passed'):\n    builtins.passed = 1\n    raise KeyboardInterrupt\n"
    )
    write(**{"pkg/part": stop + THING, "pkg/user": "from pkg.part import Thing\ndef use(): return Thing\n"})
    user = import_module("pkg.user")
    try:
        with pytest.raises(KeyboardInterrupt):
            user.use()
        assert user.use().__name__ == "Thing"
    finally:
        del __builtins__["passed"]


def test_names_can_be_assigned_and_deleted(write: Write) -> None:
    body = """
        from pkg.part import Thing, Thing as gone, Thing as second, Thing as third, Thing as fourth
        Thing = 1
        del gone
        def assign():
            global second
            second = 2
        def use(): return second
    """
    write(**{"pkg/part": THING, "pkg/user": body})
    user = import_module("pkg.user")
    user.assign()
    user.third = 3
    del user.fourth
    assert (user.Thing, user.second, user.use(), user.third) == (1, 2, 2, 3)
    assert not hasattr(user, "gone")
    assert not hasattr(user, "fourth")
    del user.third
    assert not hasattr(user, "third")
    assert loaded() == {"pkg", "pkg.user"}


def test_a_module_answers_itself_for_names_that_it_does_not_have(write: Write) -> None:
    write(**{"pkg/part": THING, "pkg/__init__": "from pkg.part import Thing\ndef __getattr__(name): return name\n"})
    package = import_module("pkg")
    assert package.other == "other"
    assert package.Thing is import_module("pkg.part").Thing


def test_a_part_is_there_as_if_it_had_been_imported(write: Write) -> None:
    write(**{"pkg/part": THING, "other/__init__": "import pkg.part", "pkg/broken": "import nowhere_at_all"})
    import_module("other")
    package = import_module("pkg")
    assert package.part.Thing
    assert not hasattr(package, "missing")


def test_a_function_wins_over_the_part_that_it_is_named_like(write: Write) -> None:
    write(**{"pkg/__init__": "from pkg.run import run", "pkg/run": "def run(): return 1"})
    import_module("pkg.run")
    package = import_module("pkg")
    assert package.run() == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pkg.run", 5)
        assert package.run == 5
    assert package.run() == 1


def test_circular_imports_work(write: Write) -> None:
    write(
        **{
            "pkg/__init__": "from . import first\nfrom .second import Second",
            "pkg/first": "from pkg import second\nclass First: pass\ndef use(): return second.Second\n",
            "pkg/second": "from pkg import first\nclass Second(first.First): pass",
        }
    )
    package = import_module("pkg")
    assert package.first.use() is package.Second


def test_a_module_that_looks_for_what_it_imported_finds_it(write: Write) -> None:
    write(
        **{
            "pkg/part": THING,
            "pkg/user": "import sys\nfrom pkg import part\nsys.modules['pkg.old'] = sys.modules['pkg.part']",
        }
    )
    import_module("pkg.user")
    assert import_module("pkg.old") is import_module("pkg.part")


@pytest.mark.parametrize("name", ["input", "open", "print"])
def test_a_builtin_that_programs_replace_is_seen_when_it_is(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(**{"pkg/user": f"def use(): return {name}\n"})
    user = import_module("pkg.user")
    assert user.use() is getattr(builtins, name)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, name, mine := object())
        assert user.use() is mine
    assert user.use() is getattr(builtins, name)


def test_modules_of_protobuf_import_at_once(write: Write) -> None:
    write(**{"pkg/base_pb2": THING, "pkg/user_pb2": "from pkg import base_pb2"})
    import_module("pkg.user_pb2")
    assert "pkg.base_pb2" in loaded()
