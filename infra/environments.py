"""What differs between deployments, on one screen. `cdk deploy --all -c environment=production` takes one of them.

Every field may be given for one command, e.g. `-c waf=true -c memory_mb=2048`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from constructs import Node
from pydantic import TypeAdapter, ValidationError

from agency_lambda_cdk.bundle import Architecture
from agency_lambda_cdk.validation import DeploymentError, refuse

DEPLOYING = "deploying"  # in the context: what may only be wrong in a template that nobody deploys is refused
PROJECT = "agency-lambda"  # the first part of every stack's name; another one for another project in this account


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One deployment: the data stack `PROJECT-name-data` and the service stack `PROJECT-name`."""

    name: str = "dev"  # also the stage in the URL
    production: bool = False  # what holds data cannot be deleted by accident, and outlives its stack
    architecture: Architecture = "arm64"  # x86_64 to try the bundle on such a machine; arm64 is a fifth cheaper

    auth: Literal["keys", "iam", "jwt"] = "keys"
    jwt_issuer: str = ""
    jwt_audience: str = ""
    domain_name: str = ""
    certificate_arn: str = ""  # ACM, in the region of the deployment; for an edge endpoint in us-east-1
    endpoint: Literal["regional", "edge"] = "regional"
    waf: bool = False  # USD 6 a month and more; blocks who sends more than waf_requests in 5 minutes
    waf_requests: int = 1000
    requests_per_second: int = 50  # of all callers together; API Gateway answers 429 beyond it
    burst: int = 100

    memory_mb: int = 1024
    answer_seconds: int = 29  # of a buffered answer; what takes longer goes on in the worker
    streaming: bool = True  # false: streams come whole, at their end; emulators on this machine cannot do better
    stream_seconds: int = 900
    worker_seconds: int = 900
    worker_concurrency: int = 5  # workers (25 runs) at once: a full queue must not use up what the model allows
    reserved_concurrency: int | None = None  # of ApiFunction and of StreamFunction; a new account has only 10 in all
    snap_start: bool = True  # USD 4 per GB of memory, function and month
    provisioned_concurrency: int = 0  # instead of SnapStart

    log_days: int = 30
    alarm_email: str = ""
    tokens_per_hour: int = 1_000_000  # more is an alarm
    monthly_budget: int = 0  # USD, of the whole account; 0: no budget

    variables: Mapping[str, str] = field(default_factory=dict)  # README's settings, e.g. {"MODEL": "gpt-5"}
    secrets: Mapping[str, str] = field(default_factory=dict)  # variable: ARN of a secret that agents may read

    def __post_init__(self) -> None:
        refuse(self)

    @property
    def stack(self) -> str:
        """The name of the service stack, and of everything of this environment where names are shared."""
        return f"{PROJECT}-{self.name}"


ENVIRONMENTS: Mapping[str, Mapping[str, Any]] = {
    "dev": {},
    "production": {"production": True, "log_days": 365, "requests_per_second": 200, "burst": 400},
}


def chosen(node: Node) -> Environment:
    """The environment that the context names, with what else the context says.

    Raises:
        DeploymentError: names what is unknown or would be refused by AWS.
    """
    context = {name: value for name, value in node.get_all_context().items() if name.isidentifier()}
    context.pop(DEPLOYING, None)
    name = context.pop("environment", "dev")
    known = {each.name for each in fields(Environment)} - {"name"}
    if name not in ENVIRONMENTS:
        raise DeploymentError(f"environment {name!r} is unknown: write one of {', '.join(ENVIRONMENTS)}")
    if unknown := sorted(context.keys() - known):
        raise DeploymentError(f"-c {unknown[0]}=... is unknown: write one of {', '.join(sorted(known))}")
    for mapping in {"variables", "secrets"} & context.keys():
        context[mapping] = _mapping(mapping, context[mapping])
    context.setdefault("streaming", not _is_emulated())
    try:
        return TypeAdapter(Environment).validate_python({"name": name, **ENVIRONMENTS[name], **context})
    except ValidationError as error:
        first = error.errors()[0]
        raise DeploymentError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _is_emulated() -> bool:
    """Whether the AWS that is deployed to is an emulator on this machine: none of them leads a stream to a Lambda."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return urlsplit(endpoint).hostname in ("localhost", "127.0.0.1", "::1")


def _mapping(name: str, value: Any) -> Any:
    """The command line gives text; cdk.json gives what it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise DeploymentError(f'{name}: write JSON, e.g. -c {name}=\'{{"MODEL": "gpt-5"}}\'') from None
