"""AUTH=jwt: whom an OpenID issuer has signed, and nobody else."""

import base64
import gzip
import hashlib
import hmac
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from fastapi import FastAPI, Request

from agency_lambda.auth import Authentication, authenticator
from agency_lambda.routes.dependencies import Caller
from agency_lambda.settings import get_settings
from tests.library.asgi import Reply, ask
from tests.library.issuer import Issuer, openid_issuer


@pytest.fixture(scope="module")
def one_issuer() -> Iterator[Issuer]:
    with openid_issuer() as made:
        made.add("first")
        made.add("curved", "ES256")
        yield made


@pytest.fixture
def issuer(one_issuer: Issuer) -> Iterator[Issuer]:
    described, published = dict(one_issuer.described), list(one_issuer.published)
    one_issuer.asked.clear()
    yield one_issuer
    one_issuer.described, one_issuer.published, one_issuer.status, one_issuer.delay = described, published, 200, 0.0
    one_issuer.drip, one_issuer.gzip = 0.0, b""


@pytest.fixture
def whoami(issuer: Issuer, clean_environment: pytest.MonkeyPatch) -> Any:
    """The real middleware before one route, which says who calls."""
    for name, value in {"AUTH": "jwt", "JWT_ISSUER": issuer.url, "JWT_AUDIENCE": "agency"}.items():
        clean_environment.setenv(name, value)
    get_settings.cache_clear()
    inner = FastAPI()

    @inner.get("/whoami")
    async def who(call: Caller) -> str:
        return call.owner

    @inner.get("/health")
    async def anybody() -> str:
        return "ok"

    return Authentication(inner, authenticator(get_settings()), {"/health"})


def call(app: Any, token: str | None) -> Reply:
    return ask(app, "/whoami", [(b"authorization", f"Bearer {token}".encode())] if token is not None else [])


def refused(reply: Reply) -> bool:
    told = (reply.status, reply.headers.get("www-authenticate"), reply.body["error"]["type"])
    assert told == (401, 'Bearer error="invalid_token"', "unauthenticated")
    assert reply.body["error"]["message"] == "This token is not valid here."
    return True


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("kid", ["first", "curved"])
@pytest.mark.parametrize("audience", ["agency", ["other", "agency"]])
def test_a_token_names_its_owner(issuer: Issuer, whoami: Any, kid: str, audience: Any) -> None:
    reply = call(whoami, issuer.token(kid, aud=audience))
    assert (reply.status, reply.body) == (200, "alice")


@pytest.mark.parametrize("subject", ["auth0|5f7c8ec7c33c6c004bbafe82", "a/b", "x" * 65, "sha256-x", "名前"])
def test_a_subject_that_can_be_no_owner_has_one_of_its_own(issuer: Issuer, whoami: Any, subject: str) -> None:
    owner = call(whoami, issuer.token(sub=subject)).body
    assert owner == "sha256-" + encoded(hashlib.sha256(subject.encode()).digest())
    again = call(whoami, issuer.token(sub=owner)).body  # nobody can call himself that
    assert again not in (owner, subject)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": ["other", "agency2"]},
        {"aud": ""},
        {"iss": "https://issuer.example"},
        {"exp": timedelta(seconds=-31)},
        {"exp": "soon"},
        {"nbf": timedelta(seconds=300)},
        {"sub": ""},
        {"sub": 5},
        {"sub": None},
        *({"without": name} for name in ("exp", "iss", "aud", "sub")),
    ],
    ids=str,
)
def test_a_token_for_others_of_others_or_of_another_time(issuer: Issuer, whoami: Any, claims: Any) -> None:
    now = datetime.now(UTC)  # of the test, not of its collection
    when = {name: int((now + value).timestamp()) for name, value in claims.items() if isinstance(value, timedelta)}
    assert refused(call(whoami, issuer.token(**{**claims, **when})))


@pytest.mark.parametrize(
    ("setting", "claims", "is_operator"),
    [
        (None, {"operator": True}, False),
        ("operator", {"operator": True}, True),
        *(("operator", {"operator": value}, False) for value in (False, "true", 1, ["x"], None)),
        ("operator", {}, False),
        ("cognito:groups=ops", {"cognito:groups": ["users", "ops"]}, True),
        ("cognito:groups=ops", {"cognito:groups": ["users", "ops2"]}, False),
        ("cognito:groups=ops", {"cognito:groups": "users ops"}, False),
        ("role=ops", {"role": "ops"}, True),
        ("role=ops", {"role": "ops2"}, False),
        ("scope=ops", {"scope": "openid ops"}, True),
        ("scope=ops", {"scope": "openid ops2"}, False),
        ("https://example.com/roles=ops", {"https://example.com/roles": ["ops"]}, True),
    ],
    ids=str,
)
def test_operator_is_whose_token_claims_it(
    issuer: Issuer, clean_environment: pytest.MonkeyPatch, setting: str | None, claims: Any, is_operator: bool
) -> None:
    variables = {"AUTH": "jwt", "JWT_ISSUER": issuer.url, "JWT_AUDIENCE": "agency", "JWT_OPERATOR_CLAIM": setting or ""}
    for name, value in variables.items():
        clean_environment.setenv(name, value)
    get_settings.cache_clear()
    inner = FastAPI()

    @inner.get("/whoami")
    async def who(request: Request) -> bool:
        return bool(request.state.is_operator)

    app = Authentication(inner, authenticator(get_settings()), {"/health"})
    assert call(app, issuer.token(**claims)).body is is_operator


def test_two_clocks_may_differ_a_little(issuer: Issuer, whoami: Any) -> None:
    now = int(time.time())
    assert call(whoami, issuer.token(exp=now - 20, nbf=now + 20)).status == 200


def test_a_token_that_says_it_needs_no_signature(issuer: Issuer, whoami: Any) -> None:
    for algorithm in ("none", "None", "NONE", "", None):
        head = {"alg": algorithm, "typ": "JWT", "kid": "first"}
        for signature in ("", encoded(b"x")):
            assert refused(call(whoami, f"{encoded(head)}.{encoded(issuer.claims())}.{signature}"))


def test_a_token_signed_with_what_everybody_has(issuer: Issuer, whoami: Any) -> None:
    """HS256, with the public key as the secret: where the token says which algorithm counts, that is a signature."""
    secrets = [issuer.public("first"), json.dumps(issuer.published[0]).encode(), issuer.published[0]["n"].encode(), b""]
    for algorithm in ("HS256", "RS256"):
        for secret in secrets:
            signed = f"{encoded({'alg': algorithm, 'kid': 'first'})}.{encoded(issuer.claims())}"
            signature = hmac.digest(secret, signed.encode(), "sha256")
            assert refused(call(whoami, f"{signed}.{encoded(signature)}"))


def test_an_issuer_that_publishes_a_secret_is_not_believed(issuer: Issuer, whoami: Any) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    for algorithm in ("HS256", "RS256"):
        issuer.published.append({"kty": "oct", "kid": f"oct-{algorithm}", "k": encoded(secret), "alg": algorithm})
        signed = f"{encoded({'alg': algorithm, 'kid': f'oct-{algorithm}'})}.{encoded(issuer.claims())}"
        signature = hmac.digest(secret, signed.encode(), "sha256")
        assert refused(call(whoami, f"{signed}.{encoded(signature)}"))


def test_a_token_that_was_changed(issuer: Issuer, whoami: Any) -> None:
    head, claims, signature = issuer.token().split(".")
    other = encoded(issuer.claims(sub="mallory"))
    _, _, of_another = issuer.token("curved").split(".")
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{claims}.{of_another}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{encoded({'alg': 'RS256', 'kid': 'curved'})}.{claims}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': 'first'})}.{claims}.{signature}",
        f"{encoded({'alg': 'RS512', 'kid': 'first'})}.{claims}.{signature}",
        f"{encoded([])}.{claims}.{signature}",
        "x",
        "..",
        "ä.ö.ü",
        "x" * 100_000,
    ):
        assert refused(call(whoami, token))


def test_a_key_that_is_for_something_else(issuer: Issuer, whoami: Any) -> None:
    issuer.add("encrypting", use="enc")
    issuer.add("longer", alg="RS512")
    issuer.published.insert(0, {"kty": "RSA", "kid": "broken", "n": "", "e": "?"})
    issuer.published.insert(0, "no key at all")
    for kid in ("encrypting", "longer"):
        assert refused(call(whoami, issuer.token(kid)))
    assert call(whoami, issuer.token()).status == 200


@pytest.mark.parametrize("head", [{}, {"kid": None}, {"kid": 5}, {"kid": ["first"]}, {"kid": "nowhere"}, {"kid": ""}])
def test_a_key_id_that_leads_nowhere(issuer: Issuer, whoami: Any, head: Any) -> None:
    key, _ = issuer.private["first"]
    signed = f"{encoded({'alg': 'RS256', **head})}.{encoded(issuer.claims())}"
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(signed.encode(), key)
    assert refused(call(whoami, f"{signed}.{encoded(signature)}"))


def test_a_token_points_to_no_key_of_its_own(issuer: Issuer, whoami: Any) -> None:
    with openid_issuer() as other:
        other.add("first")
        key, _ = other.private["first"]
        heads = {"kid": "first", "jku": f"{other.url}/keys", "jwk": other.published[0]}
        assert refused(call(whoami, jwt.encode(issuer.claims(), key, "RS256", headers=heads)))
        assert other.asked == []


def test_the_issuer_is_asked_when_somebody_calls_and_then_for_minutes_not(
    issuer: Issuer, whoami: Any, later: Callable[[float], None]
) -> None:
    assert ask(whoami, "/health").status == 200
    reply = call(whoami, None)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert refused(call(whoami, "no token"))
    assert issuer.asked == []
    for _ in range(3):
        assert call(whoami, issuer.token()).status == 200
        later(99)
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    later(4)
    assert call(whoami, issuer.token()).status == 200
    assert len(issuer.asked) == 4


def test_a_new_key_is_found_and_an_old_one_forgotten(
    issuer: Issuer, whoami: Any, later: Callable[[float], None]
) -> None:
    assert call(whoami, issuer.token()).status == 200
    issuer.add("second")
    later(31)
    assert call(whoami, issuer.token("second")).status == 200  # at once, not in five minutes
    issuer.published = [key for key in issuer.published if key["kid"] == "second"]
    later(300)
    assert call(whoami, issuer.token("second")).status == 200
    assert refused(call(whoami, issuer.token("first")))


def test_whoever_names_unknown_keys_does_not_make_us_ask_for_each(
    issuer: Issuer, whoami: Any, later: Callable[[float], None]
) -> None:
    _, claims, signature = issuer.token().split(".")
    for number in range(50):
        later(1)
        assert refused(call(whoami, f"{encoded({'alg': 'RS256', 'kid': f'k{number}'})}.{claims}.{signature}"))
    assert len(issuer.asked) <= 2 * 2


@pytest.mark.parametrize(
    "break_it",
    [
        lambda issuer: setattr(issuer, "status", 500),
        lambda issuer: setattr(issuer, "status", 302),
        lambda issuer: issuer.described.update(issuer="https://issuer.example"),
        lambda issuer: issuer.described.update(issuer=f"{issuer.url}/"),
        lambda issuer: issuer.described.pop("jwks_uri"),
        lambda issuer: issuer.described.update(jwks_uri="http://keys.example/keys"),
        lambda issuer: issuer.described.update(jwks_uri=f"{issuer.url}/keys".replace("127.0.0.1", "127.1")),
        lambda issuer: issuer.described.update(jwks_uri="file:///etc/passwd"),
        lambda issuer: setattr(issuer, "described", ["no object"]),
        lambda issuer: setattr(issuer, "published", []),
        lambda issuer: setattr(issuer, "published", None),
        lambda issuer: issuer.published.extend([issuer.published[0]] * 100),
        lambda issuer: issuer.published.append({"kid": "x" * 500_000}),
        lambda issuer: issuer.published.extend([[]] * 60_000),
        lambda issuer: issuer.described.update(more=json.loads("[" * 70 + "]" * 70)),
        lambda issuer: setattr(issuer, "gzip", gzip.compress(b" " * 100_000_000)),
    ],
)
def test_an_issuer_that_cannot_be_asked_is_a_503_that_does_not_say_why(
    issuer: Issuer, whoami: Any, break_it: Callable[[Issuer], None], caplog: pytest.LogCaptureFixture
) -> None:
    break_it(issuer)
    reply = call(whoami, issuer.token())
    assert (reply.status, reply.body["error"]["type"]) == (503, "issuer_unavailable")
    assert issuer.url not in str(reply)
    assert f"the keys of {issuer.url} could not be read" in caplog.text
    asked = len(issuer.asked)
    assert call(whoami, issuer.token()).status == 503
    assert len(issuer.asked) == asked


def test_what_an_issuer_publishes_takes_little_memory(
    issuer: Issuer, whoami: Any, later: Callable[[float], None]
) -> None:
    call(whoami, issuer.token())
    later(31)
    issuer.gzip = gzip.compress(json.dumps({"keys": [{"kid": "x" * 1_000}] * 100_000}).encode())
    assert len(issuer.gzip) < 400_000
    tracemalloc.start()
    _, claims, signature = issuer.token().split(".")
    call(whoami, f"{encoded({'alg': 'RS256', 'kid': 'unknown'})}.{claims}.{signature}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(issuer.asked) == 3
    assert peak < 5_000_000


def test_an_issuer_that_answers_byte_by_byte_is_not_waited_for(
    issuer: Issuer, whoami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agency_lambda.auth.issuer._MAX_SECONDS", 0.2)
    issuer.drip = 0.02
    began = time.monotonic()
    assert call(whoami, issuer.token()).status == 503
    assert time.monotonic() - began < 1.5


def test_a_token_that_is_longer_than_any_is_not_decoded(
    issuer: Issuer, whoami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(whoami, issuer.token(more="x" * 8_000)).status == 200
    monkeypatch.setattr(jwt, "get_unverified_header", None)
    assert refused(call(whoami, issuer.token(more="x" * 20_000)))


def test_keys_outlive_an_issuer_that_is_away(issuer: Issuer, whoami: Any, later: Callable[[float], None]) -> None:
    assert call(whoami, issuer.token()).status == 200
    issuer.status = 503
    later(300)
    assert call(whoami, issuer.token()).status == 200


def test_an_issuer_that_does_not_answer_is_not_waited_for(
    issuer: Issuer, whoami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agency_lambda.auth.issuer._TIMEOUT", 0.1)
    issuer.delay = 1.0
    began = time.monotonic()
    assert call(whoami, issuer.token()).status == 503
    assert time.monotonic() - began < 0.9
