"""AUTH=iam: API Gateway, or the function URL, has verified a signature (SigV4) and tells whose it is in the event."""

import re
from typing import Any

from starlette.types import Scope

from agency_lambda.auth.owners import owner_name
from agency_lambda.errors import SignatureMissing

_ARN = re.compile(r"arn:[a-z-]+:(?:iam|sts)::(?P<account>\d{12}):(?P<kind>[a-z-]+)(?:/(?P<name>\S+))?")


async def authenticate_signature(scope: Scope) -> str:
    """See `Caller`: ACCOUNT.user.NAME, or ACCOUNT.role.NAME whoever has assumed the role."""
    arn = _ARN.fullmatch(_arn(scope.get("aws.event")))
    if arn is None:
        raise SignatureMissing("Sign the request with AWS credentials (Signature Version 4).")
    account, kind, name = arn["account"], arn["kind"], arn["name"] or ""
    if kind == "assumed-role":  # ROLE/SESSION, and each caller names the session as he likes
        kind, name = "role", name.partition("/")[0]
    return owner_name(f"{account}.{kind}.{name}")


def _arn(event: Any) -> str:
    """Of a REST API, else of an HTTP API or a function URL; "" if nobody has signed."""
    for way in (("identity", "userArn"), ("authorizer", "iam", "userArn")):
        found: Any = _within(event, "requestContext")
        for step in way:
            found = _within(found, step)
        if isinstance(found, str):
            return found
    return ""


def _within(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, dict) else None
