"""Refuse at synth, in a sentence, what AWS would refuse later or accept and not do."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agency_lambda_cdk.environment import Environment

LOG_DAYS = {
    1: "ONE_DAY",
    3: "THREE_DAYS",
    5: "FIVE_DAYS",
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    60: "TWO_MONTHS",
    90: "THREE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
}
_SECRET = re.compile(r"API_KEYS?$|TOKEN$|PASSWORD$|SECRET_ACCESS_KEY$", re.IGNORECASE)
_SECRET_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+-[A-Za-z0-9]{6}")
_RESERVED = re.compile(r"^(AWS|LAMBDA)_|^_HANDLER$")
_NETWORK_IDS = {"vpc_id": "vpc", "subnets": "subnet", "security_groups": "sg"}  # field -> prefix

type Rule = tuple[bool, str]  # whether it is broken, and what to write instead


class DeploymentError(Exception):
    """This cannot be deployed; the message says why and what to write instead."""


def validate(environment: "Environment") -> None:
    """Raise DeploymentError for the first rule that an environment breaks."""
    for rules in (_names, _streaming, _limits, _capacity, _callers, _variables, _network):
        for broken, sentence in rules(environment):
            if broken:
                raise DeploymentError(f"{sentence} (environment {environment.name})")


def refuse_unconfigured(of: "Environment", lacking: Mapping[str, list[str]], *, deploying: bool) -> list[str]:
    """Return a sentence for each agency that lacks a variable which it cannot be built without.

    lacking: agency -> variables. A secret that is named X_SECRET gives X as well.

    Raises:
        DeploymentError: the same, where the template is about to be deployed.
    """
    given = {*of.variables, *of.secrets, *(name.removesuffix("_SECRET") for name in of.secrets)}
    found = [
        f"agency {agency!r} needs {' and '.join(missing)}: name that in variables or secrets of environment {of.name}"
        for agency, names in lacking.items()
        if (missing := [name for name in names if not given & {*name.split("|")}])
    ]
    if found and deploying:
        raise DeploymentError("; ".join(found))
    return found


def refuse_mixed(path: str, *, route_streams: bool, function_streams: bool) -> None:
    """Raise DeploymentError if one of a route and its function streams: API Gateway would answer 502."""
    if route_streams and not function_streams:
        raise DeploymentError(f"{path} streams, but its function answers whole: take a function that streams")
    if function_streams and not route_streams:
        raise DeploymentError(f"{path} is answered whole, but its function streams: take a function that does not")


def _names(of: "Environment") -> Iterator[Rule]:
    yield (
        not re.fullmatch(r"[a-z][a-z0-9]{0,19}", of.name),
        "name: write 1 to 20 of a-z 0-9: it becomes a stage of API Gateway and a part of names",
    )
    yield (
        not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", of.project),
        "project: write 1 to 40 of a-z 0-9 and -: it is the first part of every stack's name",
    )
    yield of.account is not None and not re.fullmatch(r"\d{12}", of.account), "account: write its 12 digits"
    yield (
        of.region is not None and not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", of.region),
        "region: write a region of AWS, e.g. eu-central-1",
    )


def _streaming(of: "Environment") -> Iterator[Rule]:
    yield (
        of.streaming and of.endpoint == "edge" and of.stream_seconds > 30,
        "an edge endpoint cuts a stream that is silent for 30 seconds, and agents are: write endpoint=regional, "
        "or stream_seconds of at most 30",
    )
    yield not 3 <= of.answer_seconds <= 29, "answer_seconds: API Gateway waits 29 seconds: write 3 to 29"
    yield not 3 <= of.stream_seconds <= 900, "stream_seconds: Lambda and API Gateway end at 900: write 3 to 900"


def _limits(of: "Environment") -> Iterator[Rule]:
    yield not 30 <= of.worker_seconds <= 900, "worker_seconds: Lambda ends at 900: write 30 to 900"
    yield not 512 <= of.memory_mb <= 10240, "memory_mb: the framework needs 512, and Lambda has 10240 at most"
    yield not 2 <= of.worker_concurrency <= 1000, "worker_concurrency: SQS event sources take 2 to 1000"
    yield of.log_days not in LOG_DAYS, f"log_days: CloudWatch keeps logs for {', '.join(map(str, LOG_DAYS))} days"
    yield of.requests_per_second < 1 or of.burst < 1, "requests_per_second and burst: write 1 or more"
    yield not 10 <= of.waf_requests <= 2_000_000_000, "waf_requests: WAF counts 10 to 2,000,000,000 in 5 minutes"


def _capacity(of: "Environment") -> Iterator[Rule]:
    yield (
        of.snap_start and of.provisioned_concurrency > 0,
        "snap_start and provisioned_concurrency exclude each other on Lambda: set snap_start to false",
    )
    yield (
        bool(of.gradual) and not of.alarms,
        "gradual: only an alarm can roll a new version back: set alarms to true, or gradual to nothing",
    )
    yield bool(of.alarm_email) and not of.alarms, "alarm_email gets the alarms: set alarms to true"
    yield of.provisioned_concurrency < 0, "provisioned_concurrency: write 0 or more"
    yield (
        of.reserved_concurrency is not None and not of.provisioned_concurrency <= of.reserved_concurrency,
        "reserved_concurrency must be provisioned_concurrency or more",
    )


def _callers(of: "Environment") -> Iterator[Rule]:
    yield bool(of.domain_name) != bool(of.certificate_arn), "domain_name and certificate_arn belong together: set both"
    yield (
        of.endpoint == "edge" and bool(of.certificate_arn) and ":acm:us-east-1:" not in of.certificate_arn,
        "certificate_arn: an edge endpoint takes certificates of us-east-1 only",
    )
    yield (
        (of.auth == "jwt") != bool(of.jwt_issuer and of.jwt_audience),
        "auth=jwt needs jwt_issuer and jwt_audience, and nothing else takes them",
    )
    yield (
        bool(of.jwt_issuer) and not of.jwt_issuer.startswith("https://"),
        "jwt_issuer: write https://..., to the letter as its tokens have it",
    )
    yield (
        of.auth == "iam" and "CORS_ORIGINS" in of.variables,
        "CORS_ORIGINS: a page cannot sign what a browser asks before it calls: with auth=iam it is of no use",
    )


def _variables(of: "Environment") -> Iterator[Rule]:
    yield "PAGE" in of.variables, "variables: write page=False for PAGE, which is also said to the gateway"
    secret = next((name for name in of.variables if _SECRET.search(name)), None)
    reserved = next((name for name in (*of.variables, *of.secrets) if _RESERVED.search(name)), None)
    no_arn = next((name for name, arn in of.secrets.items() if not _SECRET_ARN.fullmatch(arn)), None)
    yield (
        secret is not None,
        f"variables: {secret} could be read in the template: keep it in Secrets Manager, and name it in secrets",
    )
    yield reserved is not None, f"variables: {reserved} belongs to Lambda"
    yield no_arn is not None, f"secrets: {no_arn} must be the whole ARN of a secret, with the six letters at its end"


def _network(of: "Environment") -> Iterator[Rule]:
    for name, prefix in _NETWORK_IDS.items():
        value = getattr(of, name)
        ids = [value] if isinstance(value, str) else value
        wrong = next((each for each in ids if each and not re.fullmatch(f"{prefix}-[0-9a-f]{{8,17}}", each)), None)
        yield wrong is not None, f"{name}: {wrong} is none: write {prefix}-... as the console shows it"
    yield (
        bool(of.vpc_id) != bool(of.subnets),
        "vpc_id and subnets belong together: name the VPC and its private subnets with a route to a NAT gateway",
    )
    yield bool(of.security_groups) and not of.vpc_id, "security_groups belong to a VPC: set vpc_id and subnets as well"
