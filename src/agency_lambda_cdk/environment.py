"""What may differ between deployments."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlsplit

import aws_cdk
from constructs import Node
from pydantic import TypeAdapter, ValidationError

from agency_lambda_cdk.bundle import Architecture
from agency_lambda_cdk.validation import DeploymentError, validate

DEPLOYING = "deploying"  # in the context: what may only be wrong in a template that nobody deploys is refused

type Gradual = Literal[
    "",
    "canary_10_percent_5_minutes",
    "canary_10_percent_10_minutes",
    "canary_10_percent_15_minutes",
    "canary_10_percent_30_minutes",
    "linear_10_percent_every_1_minute",
    "linear_10_percent_every_2_minutes",
    "linear_10_percent_every_3_minutes",
    "linear_10_percent_every_10_minutes",
]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Describe one deployment: the data stack `PROJECT-NAME-data` and the service stack `PROJECT-NAME`.

    It is checked by `choose_environment`.
    """

    project: str = "agency-lambda"  # the first part of every stack's name
    name: str = "dev"  # also the stage in the URL
    account: str | None = None  # None: the account and the region of the shell that deploys
    region: str | None = None
    production: bool = False  # what holds data cannot be deleted by accident, and outlives its stack
    architecture: Architecture = "arm64"  # x86_64 to try the bundle on such a machine; arm64 is a fifth cheaper
    offline_model: bool = True  # False: the bundle is without it, and a run without a model's key fails

    auth: Literal["keys", "iam", "jwt"] = "keys"
    jwt_issuer: str = ""
    jwt_audience: str = ""
    page: bool = True  # GET / is a page for people; its files need no key, and what it asks needs one
    domain_name: str = ""
    certificate_arn: str = ""  # ACM, in the region of the deployment; for an edge endpoint in us-east-1
    endpoint: Literal["regional", "edge"] = "regional"
    waf: bool = False  # USD 6 a month and more; blocks who sends more than waf_requests in 5 minutes
    waf_requests: int = 1000
    requests_per_second: int = 50  # of all callers together; API Gateway answers 429 beyond it
    burst: int = 100

    vpc_id: str = ""  # with subnets: the functions run in this VPC; docs/deploy.md says what they must reach
    subnets: tuple[str, ...] = ()  # private, with a route to a NAT gateway
    security_groups: tuple[str, ...] = ()  # (): one is made that lets everything out and nothing in

    memory_mb: int = 1024
    answer_seconds: int = 29  # of a buffered answer; what takes longer goes on in the worker
    streaming: bool = True  # False: streams come whole, at their end; emulators on this machine cannot do better
    stream_seconds: int = 900
    worker_seconds: int = 900
    worker_concurrency: int = 5  # workers (25 runs) at once: a full queue must not use up what the model allows
    reserved_concurrency: int | None = None  # of ApiFunction and of StreamFunction; a new account has only 10 in all
    snap_start: bool = False  # USD 4 per GB of memory, function and month; a start takes 0.5 s instead of 2 s
    provisioned_concurrency: int = 0  # instead of SnapStart
    gradual: Gradual = ""  # how CodeDeploy shifts callers to a new version, which an alarm rolls back; "": at once

    log_days: int = 30
    alarms: bool = True  # 16 of USD 0.10 a month each
    alarm_email: str = ""
    metrics_by_agency: bool = True  # 5 of USD 0.30 a month for each agency, and their graphs
    xray: bool = False  # AWS X-Ray follows requests through gateway and functions: USD 5 a million traces
    tokens_per_hour: int = 1_000_000  # more is an alarm
    monthly_budget: int = 0  # USD, of the whole account; 0: no budget

    variables: Mapping[str, str] = field(default_factory=dict)  # docs/settings.md, e.g. {"MODEL": "gpt-5"}
    secrets: Mapping[str, str] = field(default_factory=dict)  # variable: ARN of a secret that agents may read

    @property
    def stack(self) -> str:
        """The name of the service stack."""
        return f"{self.project}-{self.name}"

    @property
    def aws(self) -> aws_cdk.Environment:
        return aws_cdk.Environment(account=self.account, region=self.region)


type Environments = Mapping[str, Environment]


def choose_environment(node: Node, environments: Environments) -> Environment:
    """Return the environment that the context names, changed by every other field that the context gives.

    Raises:
        DeploymentError: names what is unknown or would be refused by AWS.
    """
    context = {name: value for name, value in node.get_all_context().items() if name.isidentifier()}
    context.pop(DEPLOYING, None)
    name = context.pop("environment", next(iter(environments)))
    known = {each.name for each in fields(Environment)} - {"name"}
    if name not in environments:
        raise DeploymentError(f"environment {name!r} is unknown: write one of {', '.join(environments)}")
    if unknown := sorted(context.keys() - known):
        raise DeploymentError(f"-c {unknown[0]}=... is unknown: write one of {', '.join(sorted(known))}")
    for structured in {"variables", "secrets", "subnets", "security_groups"} & context.keys():
        context[structured] = _parsed(structured, context[structured])
    given = {each: getattr(environments[name], each) for each in known}
    if _is_emulated():
        given["streaming"] = False
    environment = _typed({**given, **context, "name": name})
    validate(environment)
    return environment


def _typed(given: Mapping[str, Any]) -> Environment:
    try:
        return TypeAdapter(Environment).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise DeploymentError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _is_emulated() -> bool:
    """Return whether the AWS of this shell is an emulator on this machine: no emulator streams."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return urlsplit(endpoint).hostname in ("localhost", "127.0.0.1", "::1")


def _parsed(name: str, value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        example = '{"MODEL": "gpt-5"}' if name in ("variables", "secrets") else '["subnet-1", "subnet-2"]'
        raise DeploymentError(f"{name}: write JSON, e.g. -c {name}='{example}'") from None
