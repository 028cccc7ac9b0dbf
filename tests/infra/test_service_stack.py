"""What must not vanish from the template and the bundle, and what must never get into them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cloud assembly, as `cdk synth` makes it (-O: see requirements-overrides.in)."""
    folder = tmp_path_factory.mktemp("cdk.out")
    done = subprocess.run(
        [sys.executable, "-O", "-m", "infra.app"],
        cwd=ROOT,
        env={**os.environ, "CDK_OUTDIR": str(folder), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def resources(out: Path) -> dict[str, Any]:
    template: dict[str, Any] = json.loads((out / "AgencyLambda.template.json").read_text())["Resources"]
    return template


def test_the_function_is_the_handler_that_the_tests_run(resources: dict[str, Any]) -> None:
    function = resources["ApiFunction"]["Properties"]
    assert (function["Handler"], function["Runtime"]) == ("handler.api.handler", "python3.13")
    assert function["Architectures"] == ["arm64"]
    assert function["Timeout"] <= 29


def test_without_authentication_there_is_no_address(resources: dict[str, Any]) -> None:
    kinds = {resource["Type"] for resource in resources.values()}
    assert not {
        kind for kind in kinds if "ApiGateway" in kind or kind in ("AWS::Lambda::Url", "AWS::Lambda::Permission")
    }


def test_the_role_may_write_its_own_log_and_nothing_else(resources: dict[str, Any]) -> None:
    policies = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Policy"]
    statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    assert [statement["Action"] for statement in statements] == [["logs:CreateLogStream", "logs:PutLogEvents"]]
    assert "*" not in [statement["Resource"] for statement in statements]
    assert not any("ManagedPolicyArns" in r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role")


def test_the_well_architected_checks_pass(out: Path) -> None:
    report = out / "validation-report.json"
    assert not report.exists() or "failure" not in report.read_text()


def test_in_the_bundle_agents_means_the_sdk(out: Path) -> None:
    bundle = ROOT / "build" / "bundle-arm64"
    assert (bundle / "agents" / "run.py").exists()
    assert not (bundle / "agents" / "agencies.py").exists()
    for inside in ("agencies.py", "agreement_desk/agency.py", "handler/api.py"):
        assert (bundle / inside).exists()
    assert (bundle / "agreement_desk" / "planfix_agent" / "instructions.md").exists()


def test_nothing_secret_or_foreign_is_in_the_bundle(out: Path) -> None:
    bundle = ROOT / "build" / "bundle-arm64"
    assert not list(bundle.rglob(".env"))
    assert not [name for name in ("pytest", "aws_cdk", "tests", "infra") if (bundle / name).exists()]
