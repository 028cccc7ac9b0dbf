"""AUTH=iam: whom API Gateway has verified, by the event."""

from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.auth import Authentication, authenticator
from agency_lambda.settings import get_settings
from agency_lambda.testing.events import alb_event, function_url_event, http_event, rest_event
from agency_lambda.validators import OWNER
from tests.library.asgi import ask
from tests.library.conftest import Service

Start = Callable[..., Service]
ACCOUNT = "123456789012"


def rest(arn: Any) -> dict[str, Any]:
    event = rest_event()
    event["requestContext"]["identity"]["userArn"] = arn
    return event


def signed(make: Callable[..., dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    def event(arn: Any) -> dict[str, Any]:
        made = make()
        made["requestContext"]["authorizer"] = {"iam": {"accountId": ACCOUNT, "userArn": arn, "userId": "AIDA"}}
        return made

    return event


EVENTS = {"rest": rest, "http": signed(http_event), "url": signed(function_url_event)}


def who(event: dict[str, Any]) -> str | None:
    """The owner; None: 401."""
    found: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope["state"]["owner"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    reply = ask(Authentication(app, authenticator(get_settings()), {"/health"}), "/whoami", **{"aws.event": event})
    if reply.status == 401:
        assert reply.headers["www-authenticate"] == "AWS4-HMAC-SHA256"
        assert found == []
        return None
    return found[0]


@pytest.fixture(autouse=True)
def on_lambda(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "api")
    clean_environment.setenv("AUTH", "iam")


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(
    ("arn", "owner"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/alice", f"{ACCOUNT}.user.alice"),
        (f"arn:aws:iam::{ACCOUNT}:user/alice@example.com", f"{ACCOUNT}.user.alice@example.com"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/session-1", f"{ACCOUNT}.role.deploy"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/i-0123456789abcdef0", f"{ACCOUNT}.role.deploy"),
        (f"arn:aws-us-gov:sts::{ACCOUNT}:assumed-role/deploy/x", f"{ACCOUNT}.role.deploy"),
        (f"arn:aws:iam::{ACCOUNT}:root", f"{ACCOUNT}.root."),
    ],
)
def test_a_principal_is_its_owner(kind: str, arn: str, owner: str) -> None:
    assert who(EVENTS[kind](arn)) == owner


def test_operators_are_those_that_the_setting_names(clean_environment: pytest.MonkeyPatch) -> None:
    roles: list[tuple[str, bool]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        roles.append((scope["state"]["owner"], scope["state"]["is_operator"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    clean_environment.setenv("OPERATORS", f"{ACCOUNT}.role.admin, {ACCOUNT}.user.root")
    get_settings.cache_clear()
    guarded = Authentication(app, authenticator(get_settings()), {"/health"})
    for name in ("assumed-role/admin/s", "assumed-role/admins/s", "assumed-role/admi/n"):
        ask(guarded, "/whoami", **{"aws.event": rest(f"arn:aws:sts::{ACCOUNT}:{name}")})
    assert [operator for _, operator in roles] == [True, False, False]


def test_no_two_principals_share_an_owner() -> None:
    other = "210987654321"
    arns = [
        *(f"arn:aws:iam::{account}:{name}" for account in (ACCOUNT, other) for name in ("root", "user/a", "user/x/a")),
        *(f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("A", "role.a", "a,b", "a+b", "a=b", "x.a", "a" * 64)),
        *(f"arn:aws:sts::{account}:assumed-role/a/s" for account in (ACCOUNT, other)),
        *(f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/s" for name in ("A", "a.s", "user.a", "a" * 63, "a" * 64)),
        f"arn:aws:sts::{ACCOUNT}:federated-user/a",
    ]
    owners = [who(rest(arn)) for arn in arns]
    assert len(set(owners)) == len(arns)
    assert all(owner and OWNER.fullmatch(owner) for owner in owners)


def test_a_session_is_called_what_its_caller_likes() -> None:
    names = ("s", "t", "a/user/root", "s" * 64, ".")
    assert {who(rest(f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/{name}")) for name in names} == {
        f"{ACCOUNT}.role.deploy"
    }


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("arn", [None, "", "alice", "arn:aws:iam::1:user/a", {"a": 1}, "arn:aws:s3:::bucket/a", 5])
def test_what_names_nobody_is_nobody(kind: str, arn: Any) -> None:
    assert who(EVENTS[kind](arn)) is None


@pytest.mark.parametrize(
    "authorizer", [None, "iam", {"iam": "userArn"}, {"userArn": "x"}, {"lambda": {"userArn": "x"}}]
)
def test_another_authorizer_is_no_signature(authorizer: Any) -> None:
    event = http_event()
    event["requestContext"]["authorizer"] = authorizer
    assert who(event) is None


def test_nothing_that_a_client_writes_says_who_it_is(start: Start) -> None:
    service = start(AUTH="iam", AWS_LAMBDA_FUNCTION_NAME="api")
    arn = f"arn:aws:iam::{ACCOUNT}:user/alice"
    for make in (rest_event, http_event, function_url_event, alb_event):
        event = make("POST", "/completion", {"message": "x", "requestContext": {"identity": {"userArn": arn}}})
        event["headers"] |= {"userArn": arn, "authorization": f"Bearer {arn}", "x-amzn-iam": arn}
        assert service.send(event)[0] == 401
        assert service.send(make("GET", "/health"))[0] == 200
    event = rest_event("GET", "/nothing")
    event["requestContext"]["identity"]["userArn"] = "arn:aws:iam::123456789012:user/alice"
    assert service.send(event)[0] == 404


def test_under_uvicorn_there_is_no_event() -> None:
    assert who(None) is None  # type: ignore[arg-type]
