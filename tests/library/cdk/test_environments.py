"""What the command line may change, and what AWS would refuse or not do: said at synth, in a sentence."""

import re
from typing import Any

import pytest

from agency_lambda_cdk.validation import DeploymentError, refuse_mixed, refuse_unconfigured
from infra.environments import DEPLOYING, ENVIRONMENTS, Environment
from tests.library.cdk.assembly import ROOT, Refused, synth

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:crm-AbCdEf"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"provisioned_concurrency": 2}, "exclude each other"),
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
        Environment(**fields)


def test_what_can_be_deployed_is_not_refused() -> None:
    Environment(provisioned_concurrency=2, snap_start=False)
    Environment(endpoint="edge", stream_seconds=30)
    Environment(auth="jwt", jwt_issuer="https://issuer.example.com", jwt_audience="agencies")
    for name, fields in ENVIRONMENTS.items():
        Environment(name=name, **fields)


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
        ({"provisioned_concurrency": 1}, "set snap_start to false"),
        ({"variables": "MODEL=gpt-5"}, "variables: write JSON"),
    ],
)
def test_the_command_line_is_told_in_a_sentence(context: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match="Not synthesised: ") as refused:
        synth(**context)
    assert sentence in str(refused.value)
    assert "Traceback" not in str(refused.value)


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
    assert synth(**{DEPLOYING: "true"}).service  # the example needs nothing
