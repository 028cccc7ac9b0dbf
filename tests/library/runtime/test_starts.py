"""Cold starts: what cannot start says so, and exits; SnapStart keeps AWS's order."""

import pytest

from agency_lambda import __version__
from agency_lambda.testing.events import rest_event
from tests.library.runtime.conftest import Start

SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
HOOKS = """
import os
from snapshot_restore_py import register_after_restore, register_before_snapshot
from apps import environment

def hook(name, failing=""):
    print("hook", name, flush=True)
    if os.environ.get("FAILS") == name:
        raise LookupError(name)

register_before_snapshot(hook, "before-1")
register_before_snapshot(hook, "before-2")
register_after_restore(hook, "after-1")
register_after_restore(hook, "after-2", failing="")
"""


def hooks(log: str) -> list[str]:
    return [line.removeprefix("hook ") for line in log.splitlines() if line.startswith("hook ")]


@pytest.mark.parametrize(
    ("source", "kind", "named"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError", "nothing_of_this_name"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("def", "SyntaxError", "invalid syntax"),
        ("raise SystemExit('enough')", "SystemExit", "enough"),
        ("handler = None", "AttributeError", "environment"),
    ],
)
def test_an_app_that_cannot_be_imported_is_an_init_error(start: Start, source: str, kind: str, named: str) -> None:
    environment = start("broken.handler", modules={"broken": source})
    assert environment.process.wait(10) == 1
    error = environment.api.init_error
    assert error is not None
    assert environment.api.error_type == error["errorType"] == kind
    assert named in error["errorMessage"]
    assert error["stackTrace"]
    assert environment.api.log == ["POST /init/error"]
    assert "the function cannot start" in environment.log


def test_a_service_without_keys_is_an_init_error_that_names_the_setting(start: Start) -> None:
    environment = start("handler.stream.handler", API_KEYS="")
    assert environment.process.wait(20) == 1
    error = environment.api.init_error
    assert error is not None
    assert error["errorType"] == "ConfigurationError"
    assert "neither API_KEYS nor API_KEYS_SECRET is set" in error["errorMessage"]


def test_a_handler_in_a_folder_may_be_named_with_a_slash(start: Start) -> None:
    environment = start("handler/stream.handler")
    assert (
        environment.api.invoke(rest_event(path="/health")).body
        == f'{{"status":"ok","version":"{__version__}"}}'.encode()
    )


def test_a_snapshot_is_taken_between_the_hooks_and_before_the_first_invocation(start: Start) -> None:
    environment = start("hooks.handler", modules={"hooks": HOOKS}, held=True, **SNAP_START)
    assert environment.api.snapshot.wait(10)
    assert hooks(environment.log) == ["before-2", "before-1"]
    assert not environment.api.ready.wait(0.3)
    environment.api.restore.set()
    assert environment.api.invoke(rest_event(path="/hello")).body == b'"hello"'
    assert hooks(environment.log) == ["before-2", "before-1", "after-1", "after-2"]
    assert environment.api.log[:2] == ["GET /restore/next", "GET /invocation/next"]


def test_without_snapshots_no_hook_runs_and_none_is_asked_for(start: Start) -> None:
    environment = start("hooks.handler", modules={"hooks": HOOKS})
    assert environment.api.invoke(rest_event(path="/hello")).status == 200
    assert hooks(environment.log) == []
    assert "GET /restore/next" not in environment.api.log


def test_a_hook_that_fails_before_the_snapshot_is_an_init_error(start: Start) -> None:
    environment = start("hooks.handler", modules={"hooks": HOOKS}, FAILS="before-1", **SNAP_START)
    assert environment.process.wait(10) == 64
    error = environment.api.init_error
    assert error is not None
    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "before-1")
    assert environment.api.error_type == "Runtime.BeforeSnapshotError"
    assert environment.api.log == ["POST /init/error"]


def test_a_hook_that_fails_after_the_restore_is_a_restore_error(start: Start) -> None:
    environment = start("hooks.handler", modules={"hooks": HOOKS}, FAILS="after-2", **SNAP_START)
    assert environment.process.wait(10) == 65
    error = environment.api.restore_error
    assert error is not None
    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "after-2")
    assert environment.api.error_type == "Runtime.AfterRestoreError"
    assert environment.api.log == ["GET /restore/next", "POST /restore/error"]
    assert hooks(environment.log) == ["before-2", "before-1", "after-1", "after-2"]
