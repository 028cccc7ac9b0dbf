"""Promises about whatever is in `infra/`, for pytest: see tests/infra/test_infra.py."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

if shutil.which("node") is None:
    pytest.skip("the promises about infra/ need Node, which is not installed", allow_module_level=True)

from aws_cdk import App
from typeguard import suppress_type_checks

from agency_lambda_cdk.bundle import ROOT
from agency_lambda_cdk.environment import Environment, Environments, choose_environment
from agency_lambda_cdk.synthesis import AddStacks, assemble

__all__ = [
    "pytest_generate_tests",
    "templates",
    "test_checks_of_cdk_nag_pass",
    "test_each_function_has_a_role_of_its_own_that_allows_no_wildcard",
    "test_every_log_expires",
    "test_no_route_is_open_that_the_service_does_not_guard",
    "test_no_secret_is_in_a_template",
    "test_nothing_else_is_public",
    "test_what_holds_data_keeps_its_name_and_outlives_a_production_stack",
    "test_with_iam_only_health_and_the_page_are_open",
]

_NOT_LIMITED = ("ec2:", "xray:")  # network interfaces that are not made yet, and traces, can be named by no resource
_HOLDS_DATA = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::S3::Bucket")
_KEPT = {"TableCD117FA1", "ApiKeys", "OpenAiKey"}  # another logical id is another, empty table


@dataclass(frozen=True)
class Templates:
    """Hold what one environment deploys. resources: logical id -> resource, of every stack."""

    environment: Environment
    folder: Path
    resources: Mapping[str, Mapping[str, Any]]

    def of_type(self, *kinds: str) -> dict[str, Mapping[str, Any]]:
        """Return logical id -> properties of every resource of these types."""
        return {name: each.get("Properties", {}) for name, each in self.resources.items() if each["Type"] in kinds}


def synthesize_templates(
    add_stacks: AddStacks, environments: Environments, context: Mapping[str, Any], code: Path | None = None
) -> Templates:
    """Synthesise in this process. context: as `-c` gives it; code: the bundle, or None for an empty file.

    Raises:
        DeploymentError: the environment cannot be deployed.
    """
    folder = Path(tempfile.mkdtemp(prefix="cdk.out-"))
    settings = ROOT / "cdk.json"
    common = json.loads(settings.read_text()).get("context", {}) if settings.exists() else {}
    app = App(outdir=str(folder), context={**common, **context})
    environment = choose_environment(app.node, environments)
    if code is None:
        code = folder / "empty.zip"
        code.write_bytes(b"PK\5\6" + bytes(18))
    with suppress_type_checks():  # jsii's, of each argument, which typeguard 4 gets wrong; mypy has checked them
        assemble(app, environment, add_stacks, code)
    documents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.template.json"))]
    resources = {name: each for document in documents for name, each in document["Resources"].items()}
    return Templates(environment, folder, resources)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each promise for each environment of the module."""
    if "templates" in metafunc.fixturenames:
        metafunc.parametrize("templates", list(metafunc.module.ENVIRONMENTS), indirect=True, scope="module")


@pytest.fixture
def templates(request: pytest.FixtureRequest) -> Templates:
    """Return the templates of one environment, which is synthesised once."""
    return _once(request.module.add_stacks, request.module, request.param)


@cache
def _once(add_stacks: AddStacks, module: Any, environment: str) -> Templates:
    return synthesize_templates(add_stacks, module.ENVIRONMENTS, {"environment": environment})


def test_checks_of_cdk_nag_pass(templates: Templates) -> None:
    report = json.loads((templates.folder / "validation-report.json").read_text())
    (nag,) = [each for each in report["pluginReports"] if each["pluginName"] == "AwsSolutions"]
    assert nag["conclusion"] == "success", nag
    assert all(len(each["reason"]) > 20 for each in nag["suppressedViolations"])


def test_each_function_has_a_role_of_its_own_that_allows_no_wildcard(templates: Templates) -> None:
    functions = templates.of_type("AWS::Lambda::Function")
    roles = {name: json.dumps(each["Role"], sort_keys=True) for name, each in functions.items()}
    assert functions
    assert len({*roles.values()}) == len(functions)
    for statement in _allowed(templates):
        for action in _listed(statement["Action"]):
            assert "*" not in action, statement
            assert statement["Resource"] != "*" or action.startswith(_NOT_LIMITED), statement


def test_every_log_expires(templates: Templates) -> None:
    logs = templates.of_type("AWS::Logs::LogGroup")
    assert logs
    assert all(each["RetentionInDays"] for each in logs.values())


def test_no_secret_is_in_a_template(templates: Templates) -> None:
    for secret in templates.of_type("AWS::SecretsManager::Secret").values():
        assert "SecretString" not in secret
    assert "resolve:" not in json.dumps(templates.resources)  # a dynamic reference would put it into a variable


def test_what_holds_data_keeps_its_name_and_outlives_a_production_stack(templates: Templates) -> None:
    assert templates.resources.keys() >= _KEPT
    for name in templates.of_type(*_HOLDS_DATA):
        resource = templates.resources[name]
        if templates.environment.production:
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain"), name


def test_no_route_is_open_that_the_service_does_not_guard(templates: Templates) -> None:
    """A method without authorization must lead to a function, which asks for a key or a token."""
    methods = templates.of_type("AWS::ApiGateway::Method")
    assert methods
    for each in methods.values():
        assert each["AuthorizationType"] != "NONE" or each["Integration"]["Type"] == "AWS_PROXY", each
    for name, function in templates.of_type("AWS::Lambda::Function").items():
        variables = function.get("Environment", {}).get("Variables", {})
        assert variables.get("AUTH", "keys") in ("keys", "jwt", "iam"), name


def test_with_iam_only_health_and_the_page_are_open(request: pytest.FixtureRequest) -> None:
    module = request.module
    name, environment = next(iter(module.ENVIRONMENTS.items()))
    iam = replace(environment, auth="iam", jwt_issuer="", jwt_audience="", variables={})
    found = synthesize_templates(module.add_stacks, {name: iam}, {})
    resources = found.of_type("AWS::ApiGateway::Resource")
    is_open = {"/health", *(("/", "/page/{proxy+}") if environment.page else ())}
    for each in found.of_type("AWS::ApiGateway::Method").values():
        may_be = each["HttpMethod"] in ("GET", "HEAD") and _path(resources, each["ResourceId"]) in is_open
        assert each["AuthorizationType"] == ("NONE" if may_be else "AWS_IAM"), each


def _path(resources: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Return the path of a resource of an API, of which CloudFormation has parents and parts."""
    if "Ref" not in reference:
        return "/"
    own = resources[reference["Ref"]]
    return f"{_path(resources, own['ParentId']).rstrip('/')}/{own['PathPart']}"


def test_nothing_else_is_public(templates: Templates) -> None:
    assert all(each["AuthType"] != "NONE" for each in templates.of_type("AWS::Lambda::Url").values())
    assert all(each["Principal"] != "*" for each in templates.of_type("AWS::Lambda::Permission").values())
    for each in templates.of_type("AWS::EC2::SecurityGroup").values():
        assert not each.get("SecurityGroupIngress"), each
    for statement in _allowed(templates):
        assert statement.get("Principal") not in ("*", {"AWS": "*"}) or statement.get("Condition"), statement


def _allowed(templates: Templates) -> Iterator[Mapping[str, Any]]:
    """Yield the statements that allow something, of roles and of resources."""
    for properties in templates.of_type(*(each["Type"] for each in templates.resources.values())).values():
        documents = [properties.get("PolicyDocument"), *(each["PolicyDocument"] for each in _policies(properties))]
        for document in filter(None, documents):
            yield from (each for each in document["Statement"] if each["Effect"] == "Allow")


def _policies(properties: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = properties.get("Policies")
    return found if isinstance(found, list) else []


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
