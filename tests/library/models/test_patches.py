"""The table of patches is whole: what it names is changed, nothing else is, and each row has its test."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from agency_lambda.framework.patches import PATCHES, READ_VERSIONS, Patch, is_for_installed, targets

ROOT = Path(__file__).parents[3]

BY_THE_SDK = {"agents.tracing.setup:_SHUTDOWN_HANDLER_REGISTERED"}  # it notes that it has a provider

# Compares every name of the modules and classes of three packages before and after.
_CHANGES = """
import inspect, json, sys
from importlib import import_module
from agency_lambda import credentials
from agency_lambda.framework import patches

credentials.prepare()
for target in patches.targets():
    import_module(target.partition(":")[0])
for patch in patches.PATCHES:
    import_module(patch.installer)

def names():
    found = {}
    for module in [m for n, m in sys.modules.items() if n.partition(".")[0] in ("agency_swarm", "agents", "openai")]:
        for name, value in list(vars(module).items()):
            if inspect.ismodule(value) or name.startswith("__"):
                continue
            found[f"{module.__name__}:{name}"] = value
            if inspect.isclass(value) and value.__module__ == module.__name__:
                known = {each: vars(value)[each] for each in vars(value)}
                known = {each: known[each] for each in known if each == "__new__" or not each.startswith("__")}
                found |= {f"{value.__module__}:{value.__qualname__}.{each}": known[each] for each in known}
            if name == "logger":
                found[f"{module.__name__}:logger.error"] = vars(value).get("error")
    return found

def named(target):
    module, _, name = target.partition(":")
    owner, _, attribute = name.rpartition(".")
    if not owner or owner == "logger":
        return target
    owner = vars(import_module(module))[owner]
    return f"{owner.__module__}:{owner.__qualname__}.{attribute}"

before = names()
modules = {name.partition(":")[0] for name in before}
patches.install()
after = names()
json.dump({
    "changed": sorted(
        name for name in after if name.partition(":")[0] in modules and after[name] is not before.get(name)
    ),
    "named": sorted(map(named, patches.targets())),
}, sys.stdout)
"""


def test_table_names_exactly_what_is_changed() -> None:
    done = subprocess.run([sys.executable, "-c", _CHANGES], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["changed"]) - BY_THE_SDK == set(found["named"])


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.installer)
def test_row_says_why_for_which_versions_and_has_a_test(patch: Patch) -> None:
    assert patch.why.endswith(".")
    assert patch.versions
    assert all(set(READ_VERSIONS[name]) >= {*them} for name, them in patch.versions.items())
    assert (ROOT / patch.test).is_file()


def test_versions_are_those_that_were_read() -> None:
    installed = {package: version(package) for package in READ_VERSIONS}
    assert {package: its in READ_VERSIONS[package] for package, its in installed.items()} == dict.fromkeys(
        READ_VERSIONS, True
    ), installed


def test_row_that_is_for_one_version_alone_is_left_out_with_the_other() -> None:
    left_out = [patch for patch in PATCHES if not is_for_installed(patch)]
    assert left_out
    assert {name for patch in left_out for name in patch.targets}.isdisjoint(targets())


def test_no_name_is_changed_twice() -> None:
    assert len(list(targets())) == len(set(targets()))
