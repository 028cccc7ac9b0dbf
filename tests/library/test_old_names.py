"""Names of an earlier version go on working for one release, with a warning; and `agents` always means the SDK."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agency_lambda import idempotency_key
from agency_lambda_cdk.bundle import BundleError
from agency_lambda_cdk.bundle.agencies import survey
from tests.library.conftest import PYTHONPATH, ROOT, Service


def test_idempotency_key_has_its_old_module_still() -> None:
    code = "from idempotency import idempotency_key; print(idempotency_key.__module__)"
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, env={"PYTHONPATH": PYTHONPATH}
    )
    assert done.stdout.strip() == idempotency_key.__module__
    assert "DeprecationWarning: write `from agency_lambda import idempotency_key`" in done.stderr


def test_a_function_in_agencies_still_answers(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from letters.agency import create_agency

    monkeypatch.setattr("agencies.AGENCIES", {"letters-as-before": create_agency})
    assert service.respond("hello", "letters-as-before")["status"] == "completed"
    assert "'letters-as-before' is a function, which the next release does not take" in caplog.text


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of this repository's parts in which somebody has made agents/ a package."""
    for name in ("handler", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "library" / "agents", tmp_path / "agents")
    (tmp_path / "agents" / "__init__.py").touch()
    return tmp_path


def test_make_run_and_the_bundle_refuse_a_package_agents(package: Path) -> None:
    roots = os.pathsep.join(str(package / name) for name in (".", "src", "agents"))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": roots, "STORE": f"sqlite:///{package}/agency.db"}
    done = subprocess.run(
        [sys.executable, "-m", "handler.local"], cwd=package, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "agents/__init__.py" in done.stderr
    with pytest.raises(BundleError, match=r"delete .*agents/__init__\.py"):
        survey(package / "agents")


def test_pytest_refuses_a_package_agents(package: Path) -> None:
    (package / "test_agencies.py").write_text("from agency_lambda.testing.agencies import *")
    roots = os.pathsep.join(str(package / name) for name in (".", "src", "agents"))
    options = ["-q", "-c", "/dev/null", "-p", "no:cacheprovider", "--collect-only"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_agencies.py"],
        cwd=package,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": roots,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stdout
    assert "delete agents/__init__.py" in done.stdout
