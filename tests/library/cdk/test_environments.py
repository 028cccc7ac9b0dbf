"""What the command line may change, and what AWS would refuse or not do: said at synth, in a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from typeguard import suppress_type_checks

from agency_lambda_cdk import Environment, synthesis, synthesize
from agency_lambda_cdk.bundle import ROOT
from agency_lambda_cdk.environment import DEPLOYING
from agency_lambda_cdk.validation import DeploymentError, refuse_mixed, refuse_unconfigured, validate
from tests.library.cdk.assembly import as_text, synth
from tests.library.cdk.stacks import ENVIRONMENTS, add_stacks

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:crm-AbCdEf"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"provisioned_concurrency": 2, "snap_start": True}, "exclude each other"),
        ({"endpoint": "edge", "stream_seconds": 900}, "silent for 30 seconds"),
        ({"answer_seconds": 60}, "API Gateway waits 29 seconds"),
        ({"stream_seconds": 960}, "end at 900"),
        ({"worker_seconds": 901}, "end"),
        ({"memory_mb": 128}, "512"),
        ({"worker_concurrency": 1}, "2 to 1000"),
        ({"log_days": 8}, "CloudWatch keeps logs for 1, 3, 5"),
        ({"waf_requests": 1}, "WAF counts 10"),
        ({"requests_per_second": 0}, "1 or more"),
        ({"domain_name": "api.example.com"}, "belong together"),
        ({"auth": "jwt"}, "needs jwt_issuer"),
        ({"jwt_issuer": "https://issuer.example.com", "jwt_audience": "a"}, "nothing else takes them"),
        ({"variables": {"OPENAI_API_KEY": "sk-1"}}, "could be read in the template"),
        ({"variables": {"SHOP_TOKEN": "t"}}, "could be read in the template"),
        ({"variables": {"AWS_REGION": "x"}}, "belongs to Lambda"),
        ({"name": "Dev Test"}, "a-z"),
        ({"gradual": "canary_10_percent_5_minutes", "alarms": False}, "only an alarm can roll a new version back"),
        ({"alarm_email": "ops@example.com", "alarms": False}, "set alarms to true"),
        ({"project": "Shop"}, "project: write"),
        ({"account": "1"}, "account: write its 12 digits"),
        ({"region": "Frankfurt"}, "region: write a region of AWS, e.g. eu-central-1"),
        ({"vpc_id": "vpc-0a15c9d2"}, "name the VPC and its private subnets with a route to a NAT gateway"),
        ({"subnets": ("subnet-0a15c9d2",)}, "vpc_id and subnets belong together"),
        ({"vpc_id": "vpc-0a15c9d2", "subnets": ("vpc-0a15c9d2",)}, "subnets: vpc-0a15c9d2 is none: write subnet-"),
        ({"security_groups": ("sg-0a15c9d2",)}, "security_groups belong to a VPC"),
        ({"secrets": {"CRM_SECRET": "my-token"}}, "must be the whole ARN"),
        ({"secrets": {"AWS_REGION": ARN}}, "belongs to Lambda"),
        ({"auth": "jwt", "jwt_issuer": "issuer.example.com", "jwt_audience": "a"}, "write https://"),
        ({"auth": "iam", "variables": {"CORS_ORIGINS": "https://a.example.com"}}, "cannot sign"),
        ({"provisioned_concurrency": -1, "snap_start": False}, "write 0 or more"),
        ({"provisioned_concurrency": 9, "snap_start": False, "reserved_concurrency": 5}, "or more"),
        (
            {
                "endpoint": "edge",
                "stream_seconds": 30,
                "domain_name": "a.example.com",
                "certificate_arn": "arn:aws:acm:eu-central-1:1:x",
            },
            "us-east-1 only",
        ),
    ],
)
def test_what_cannot_be_deployed_is_said(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeploymentError, match=sentence):
        validate(Environment(**fields))


def test_what_can_be_deployed_is_not_refused() -> None:
    validate(Environment(provisioned_concurrency=2, snap_start=False))
    validate(Environment(endpoint="edge", stream_seconds=30))
    validate(Environment(auth="jwt", jwt_issuer="https://issuer.example.com", jwt_audience="agencies"))
    validate(Environment(account="123456789012", region="us-gov-west-1"))
    validate(
        Environment(
            vpc_id="vpc-0a15c9d2", subnets=("subnet-0a15c9d2", "subnet-0b25c9d2"), security_groups=("sg-0a15c9d2",)
        )
    )
    for environment in ENVIRONMENTS.values():
        validate(environment)


def test_a_route_and_its_function_stream_both_or_neither() -> None:
    refuse_mixed("GET /a", route_streams=True, function_streams=True)
    refuse_mixed("GET /a", route_streams=False, function_streams=False)
    with pytest.raises(DeploymentError, match="GET /a streams, but its function answers whole"):
        refuse_mixed("GET /a", route_streams=True, function_streams=False)
    with pytest.raises(DeploymentError, match="GET /a is answered whole, but its function streams"):
        refuse_mixed("GET /a", route_streams=False, function_streams=True)


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({"environment": "staging"}, "write one of dev, production"),
        ({"auht": "iam"}, "-c auht=... is unknown"),
        ({"auth": "none"}, "auth: Input should be 'keys', 'iam' or 'jwt'"),
        ({"memory_mb": "much"}, "memory_mb: Input should be a valid integer"),
        ({"architecture": "sparc"}, "architecture: Input should be 'arm64' or 'x86_64'"),
        ({"environment": "production", "provisioned_concurrency": 1}, "set snap_start to false"),
        ({"variables": "MODEL=gpt-5"}, "variables: write JSON"),
        ({"vpc_id": "vpc-1", "subnets": "subnet-1"}, 'subnets: write JSON, e.g. -c subnets=\'["subnet-1"'),
        ({"gradual": "canary"}, "gradual: Input should be"),
    ],
)
def test_the_command_line_is_answered_in_a_sentence(context: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SystemExit) as refused:
        synthesize(add_stacks, ENVIRONMENTS, app=App(context={name: as_text(each) for name, each in context.items()}))
    assert str(refused.value).startswith("Not synthesised: ")
    assert sentence in str(refused.value)


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Make no bundle, and note how it was asked for. "lacking": what its agencies need."""
    asked: dict[str, Any] = {"lacking": {}}

    def build(architecture: str, agents: Path, *, offline_model: bool) -> Path:
        asked.update(architecture=architecture, agents=agents, offline_model=offline_model)
        (tmp_path / "bundle.zip").touch()
        return tmp_path / "bundle"

    monkeypatch.setattr(synthesis.bundle, "build", build)
    monkeypatch.setattr(synthesis.bundle, "lacking", lambda folder: asked["lacking"])
    return asked


def synthesized(tmp_path: Path, **context: str) -> None:
    with suppress_type_checks():
        synthesize(add_stacks, ENVIRONMENTS, agents=tmp_path, app=App(outdir=str(tmp_path / "out"), context=context))


def test_an_environment_without_the_offline_model_is_bundled_so(bundled: dict[str, Any], tmp_path: Path) -> None:
    synthesized(tmp_path, environment="production", architecture="x86_64")
    assert bundled == {"lacking": {}, "architecture": "x86_64", "agents": tmp_path, "offline_model": False}
    assert (tmp_path / "out" / "agency-lambda-production.template.json").exists()


def test_what_an_agency_lacks_is_a_warning_until_it_is_deployed(
    bundled: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundled["lacking"] = {"shop": ["SHOP_TOKEN"]}
    synthesized(tmp_path)
    assert "Warning: agency 'shop' needs SHOP_TOKEN" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="Not synthesised: agency 'shop' needs SHOP_TOKEN"):
        synthesized(tmp_path, **{DEPLOYING: "true"})


def test_what_nobody_can_see_at_synth_is_noted() -> None:
    (network,) = synthesis.hints(Environment(vpc_id="vpc-0a15c9d2", subnets=("subnet-0a15c9d2",)))
    assert "NAT gateway" in network
    (mail,) = synthesis.hints(Environment(gradual="canary_10_percent_5_minutes"))
    assert "alarm_email" in mail
    assert not [*synthesis.hints(Environment(alarm_email="ops@example.com"))]


def test_the_command_line_may_change_every_field() -> None:
    assembly = synth(
        memory_mb=2048,
        worker_seconds=60,
        log_days=7,
        snap_start=False,
        provisioned_concurrency=2,
        reserved_concurrency=5,
        variables={"MODEL": "gpt-5"},
        secrets={"CRM_SECRET": ARN},
    )
    function = assembly.service["ApiFunction"]["Properties"]
    assert (function["MemorySize"], function["ReservedConcurrentExecutions"]) == (2048, 5)
    assert "SnapStart" not in function
    assert function["Environment"]["Variables"]["MODEL"] == "gpt-5"
    assert function["Environment"]["Variables"]["CRM_SECRET"].startswith("arn:")
    assert assembly.service["WorkerFunction"]["Properties"]["Timeout"] == 60
    provisioned = {
        each["FunctionName"]["Ref"]: each["ProvisionedConcurrencyConfig"]["ProvisionedConcurrentExecutions"]
        for each in assembly.of_type("AWS::Lambda::Alias").values()
        if "ProvisionedConcurrencyConfig" in each
    }
    assert provisioned == {"ApiFunction": 2, "StreamFunction": 2}
    readable = [
        each["Resource"]
        for policy in assembly.of_type("AWS::IAM::Policy").values()
        for each in policy["PolicyDocument"]["Statement"]
        if "crm-AbCdEf" in str(each["Resource"])
    ]
    assert len(readable) == 3  # of the functions that run agents


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({}, ["A", "B"]),
        ({"variables": {"A": "1"}}, ["B"]),
        ({"variables": {"A": "1"}, "secrets": {"B": ARN}}, []),
        ({"variables": {"A": "1"}, "secrets": {"B_SECRET": ARN}}, []),
    ],
)
def test_what_an_environment_does_not_name(fields: dict[str, Any], missing: list[str]) -> None:
    said = refuse_unconfigured(Environment(**fields), {"shop": ["A", "B"]}, deploying=False)
    assert said == [
        f"agency 'shop' needs {' and '.join(missing)}: name that in variables or secrets of environment dev"
    ] * bool(missing)
    if missing:
        with pytest.raises(DeploymentError, match=said[0]):
            refuse_unconfigured(Environment(**fields), {"shop": ["A", "B"]}, deploying=True)


def test_make_deploy_says_that_it_deploys() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (deploy,) = re.findall(r"^\t.*\$\(CDK\) deploy .*$", makefile, re.MULTILINE)
    assert f"-c {DEPLOYING}=true" in deploy
