"""AUTH=iam: AWS has verified the signature (SigV4), and the event names its principal."""

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from starlette.types import Scope

from agency_lambda.auth.owners import owner_name
from agency_lambda.auth.principal import Principal
from agency_lambda.errors import SignatureMissing

_ARN = re.compile(r"arn:[a-z-]+:(?:iam|sts)::(?P<account>\d{12}):(?P<kind>[a-z-]+)(?:/(?P<name>\S+))?")
_REST_API = ("identity", "userArn")
_HTTP_API_OR_FUNCTION_URL = ("authorizer", "iam", "userArn")


def signature_authenticator(operators: Collection[str]) -> Callable[[Scope], Awaitable[Principal]]:
    async def authenticate(scope: Scope) -> Principal:
        owner = _owner(scope)
        return Principal(owner, owner in operators)

    return authenticate


def _owner(scope: Scope) -> str:
    """Return ACCOUNT.user.NAME or ACCOUNT.role.NAME."""
    arn = _ARN.fullmatch(_user_arn(scope.get("aws.event")))
    if arn is None:
        raise SignatureMissing("Sign the request with AWS credentials (Signature Version 4).")
    account, kind, name = arn["account"], arn["kind"], arn["name"] or ""
    if kind == "assumed-role":  # ROLE/SESSION, where the caller chooses the session's name
        kind, name = "role", name.partition("/")[0]
    return owner_name(f"{account}.{kind}.{name}")


def _user_arn(event: Any) -> str:
    for path in (_REST_API, _HTTP_API_OR_FUNCTION_URL):
        value: Any = _field(event, "requestContext")
        for name in path:
            value = _field(value, name)
        if isinstance(value, str):
            return value
    return ""


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
