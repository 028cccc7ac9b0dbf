"""Secrets of Secrets Manager: read when first used, again after a minute, and never told."""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from agency_lambda import secrets
from agency_lambda.errors import SecretUnavailable
from agency_lambda.framework.models import Models
from agency_lambda.settings import get_settings
from agency_lambda.testing.aws import refusal
from agency_lambda.testing.vault import Vault, secrets_manager
from agency_lambda.validators import api_keys
from tests.library.asgi import Headers, Reply, ask
from tests.library.conftest import Service
from tests.library.model_server import ModelServer
from tests.library.models.agencies import ask as ask_models
from tests.library.models.agencies import single


@pytest.fixture(scope="module")
def manager() -> Iterator[Vault]:
    with secrets_manager() as made:
        yield made


@pytest.fixture
def vault(manager: Vault, clean_environment: pytest.MonkeyPatch) -> Vault:
    for name, value in manager.environment.items():
        clean_environment.setenv(name, value)
    manager.relay.seen.clear()
    manager.relay.delay, manager.relay.fault = 0.0, lambda operation, request: None
    return manager


@pytest.fixture
def app(vault: Vault, clean_environment: pytest.MonkeyPatch) -> Callable[[str], FastAPI]:
    """app(secret) -> the service, whose keys are in that secret."""

    def made(secret: str) -> FastAPI:
        clean_environment.setenv("API_KEYS_SECRET", secret)
        get_settings.cache_clear()
        from agency_lambda.app import create_app

        return create_app()

    return made


def pair(owner: str) -> str:
    return f"{owner}:{hashlib.sha256(owner.encode()).hexdigest()}"


def bearer(key: str) -> Headers:
    return [(b"authorization", f"Bearer {key}".encode())]


def call(app: Any, key: str = "alice") -> Reply:
    """404 is the answer to whoever is known."""
    return ask(app, "/nothing", bearer(key))


REFUSED = refusal("AccessDeniedException")


def test_nothing_is_read_before_somebody_calls_and_then_once_a_minute(
    vault: Vault, app: Callable[[str], FastAPI], later: Callable[[float], None]
) -> None:
    service = app(vault.create(pair("alice")))
    assert ask(service, "/health").status == 200
    assert ask(service, "/nothing").status == 401  # without a key there is nothing to compare
    assert vault.relay.seen == []
    for _ in range(3):
        assert call(service).status == 404
        later(19)
    assert vault.readings() == 1
    later(4)
    assert call(service).status == 404
    assert vault.readings() == 2


def test_a_new_key_opens_and_a_withdrawn_one_does_not_within_a_minute(
    vault: Vault, app: Callable[[str], FastAPI], later: Callable[[float], None]
) -> None:
    secret = vault.create(f"\n {pair('alice')}\n")
    service = app(secret)
    assert (call(service).status, call(service, "bob").status) == (404, 401)
    vault.put(secret, pair("bob"))
    later(60)
    assert (call(service).status, call(service, "bob").status) == (401, 404)
    vault.put(secret, " \n")
    later(60)
    assert (call(service).status, call(service, "bob").status) == (401, 401)


def test_a_secret_without_a_value_knows_nobody(vault: Vault, app: Callable[[str], FastAPI]) -> None:
    service = app(vault.create())
    assert call(service).status == 401
    assert ask(service, "/health").status == 200


def test_requests_at_once_read_once_and_nothing_waits_for_them(vault: Vault, clean_environment: Any) -> None:
    keys = secrets.secret(vault.create(pair("alice")), api_keys)
    vault.relay.delay = 0.3

    async def many() -> int:
        reading = asyncio.gather(*(keys.get() for _ in range(20)))
        steps = 0
        while not reading.done():
            await asyncio.sleep(0.01)
            steps += 1
        assert {owner for known in await reading for owner, *_ in known or ()} == {"alice"}
        return steps

    assert asyncio.run(many()) > 5
    assert vault.readings() == 1


def test_who_leaves_while_it_is_read_takes_nothing_from_the_others(vault: Vault) -> None:
    keys = secrets.secret(vault.create(pair("alice")), api_keys)
    vault.relay.delay = 0.2

    async def leave() -> None:
        first = asyncio.create_task(keys.get())
        second = asyncio.create_task(keys.get())
        await asyncio.sleep(0.1)
        first.cancel()
        assert (await second or ())[0][0] == "alice"

    asyncio.run(leave())


@pytest.mark.parametrize("fault", [REFUSED, refusal("InternalServiceError"), (0, b""), (200, b"<html>a proxy</html>")])
def test_a_secret_that_cannot_be_read_is_a_503_that_does_not_say_why(
    vault: Vault, app: Callable[[str], FastAPI], fault: tuple[int, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    secret = vault.create(pair("alice"))
    service = app(secret)
    vault.relay.fault = lambda operation, request: fault
    answers = [call(service), call(service, "mallory")]
    readings = vault.readings()
    assert [answer.status for answer in answers] == [503, 503]
    assert {answer.body["error"]["type"] for answer in answers} == {"secret_unavailable"}
    assert "secret words of AWS" not in str(answers)
    assert secret not in str(answers)
    assert f"the secret {secret} could not be read" in caplog.text
    assert call(service).status == 503
    assert vault.readings() == readings  # whoever comes at once does not ask at once


def test_a_secret_that_is_not_there_is_no_empty_one(app: Callable[[str], FastAPI]) -> None:
    assert call(app("nobody-made-this")).status == 503


def test_what_was_read_outlives_a_failure(
    vault: Vault, app: Callable[[str], FastAPI], later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    secret = vault.create(pair("alice"))
    service = app(secret)
    assert call(service).status == 404
    vault.relay.fault = lambda operation, request: REFUSED
    later(60)
    assert call(service).status == 404
    assert "AccessDeniedException" in caplog.text
    later(800)
    assert call(service).status == 404
    later(100)
    assert call(service).status == 503  # what was withdrawn where nobody can look must not hold for ever
    vault.relay.fault = lambda operation, request: None
    vault.put(secret, pair("bob"))
    later(5)
    assert call(service).status == 401  # tried again after seconds, not after a minute


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{pair('alice')}, al_secretsecret", "pair 2: write owner:sha256hex"),
        (f'{{"alice": "{pair("alice")[6:]}"}}', "JSON"),
    ],
)
def test_what_is_malformed_is_named_in_the_log_and_not_shown(
    vault: Vault, app: Callable[[str], FastAPI], text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = call(app(vault.create(text)))
    assert answer.status == 503
    assert said in caplog.text
    for shown in ("al_secret", pair("alice")[6:16]):
        assert shown not in caplog.text + str(answer)


def test_after_a_snapshot_nothing_is_held(vault: Vault, app: Callable[[str], FastAPI]) -> None:
    secret = vault.create(pair("alice"))
    service = app(secret)
    assert call(service).status == 404
    secrets.clear_caches()
    vault.put(secret, pair("bob"))
    assert call(service).status == 401


# The model's key


@pytest.fixture
def models(vault: Vault, clean_environment: pytest.MonkeyPatch) -> Callable[..., Models]:
    def made(secret: str, base_url: str) -> Models:
        clean_environment.setenv("OPENAI_API_KEY_SECRET", secret)
        clean_environment.setenv("OPENAI_BASE_URL", base_url)
        get_settings.cache_clear()
        return Models(get_settings())

    return made


def test_a_run_asks_with_the_key_as_it_is_now(
    vault: Vault, models: Callable[..., Models], later: Callable[[float], None]
) -> None:
    secret = vault.create("sk-old\n")
    with ModelServer() as server:
        made = models(secret, server.base_url)
        assert vault.relay.seen == []
        for key in ("sk-old", "sk-new"):
            vault.put(secret, f" {key}\n")
            later(60)
            asyncio.run(made.refresh())
            ask_models(made, single())
        sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer sk-old", "Bearer sk-new"]
    assert vault.readings() == 2


def test_a_run_that_has_begun_goes_on_with_its_key_and_its_connections(
    vault: Vault, models: Callable[..., Models], later: Callable[[float], None]
) -> None:
    secret = vault.create("sk-old")
    made = models(secret, "http://127.0.0.1:9/v1")

    async def rotate() -> None:
        await made.refresh()
        before = made.client
        vault.put(secret, "sk-new")
        later(60)
        await made.refresh()
        assert (before.api_key, made.client.api_key) == ("sk-old", "sk-new")
        assert before._client is made.client._client
        await made.aclose()
        assert made.offline  # nothing is held any more

    asyncio.run(rotate())


def test_without_a_value_the_offline_model_answers_and_with_one_a_real_one(
    vault: Vault, start: Callable[..., Service], later: Callable[[float], None]
) -> None:
    secret = vault.create()
    with ModelServer(["Hello from a model."]) as server:
        service = start(OPENAI_API_KEY_SECRET=secret, OPENAI_BASE_URL=server.base_url)
        assert "[offline model]" in service.ask("hello", agent="Writer")[1]["response"]
        vault.put(secret, "sk-first")
        later(60)
        assert service.ask("hello", agent="Writer")[1]["response"] == "Hello from a model."
        assert server.requests[0].headers["authorization"] == "Bearer sk-first"


@pytest.mark.parametrize("text", ['{"key": "sk-live"}', "sk-live\nsk-live", "sk-lüve"])
def test_a_key_that_cannot_be_read_is_a_503_and_nothing_is_kept(
    vault: Vault, start: Callable[..., Service], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(OPENAI_API_KEY_SECRET=vault.create(text))
    status, body = service.post("/v1/responses", {"model": "letters", "input": "hello", "conversation": "c"})
    assert status == 404  # refused before: there is no such conversation
    status, body = service.post("/v1/responses", {"model": "letters", "input": "hello"})
    assert (status, body["error"]["code"]) == (503, "secret_unavailable")
    assert "sk-" not in caplog.text.replace("tests", "") + str(body)
    assert service.get("/v1/models")[0] == 200


def test_a_queued_run_waits_until_the_key_can_be_read_again(
    vault: Vault, clean_environment: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    from agency_lambda.protocol.request import CreateResponse
    from agency_lambda.runs.leases import Leases
    from agency_lambda.runs.service import RunService
    from agency_lambda.runs.stored_responses import Responses

    clean_environment.setenv("OPENAI_API_KEY_SECRET", vault.create())
    get_settings.cache_clear()

    async def wait() -> str:
        runs = RunService(get_settings())
        request = CreateResponse.model_validate({"model": "letters", "input": "hello", "background": True})
        kept: Any = await runs.create(request, "alice")
        vault.relay.fault = lambda operation, request: REFUSED
        secrets.clear_caches()
        with pytest.raises(SecretUnavailable):
            await runs.resume(kept.response["id"])
        assert await Leases(runs.store).find(kept.response["id"])
        found = await Responses(runs.store, "alice").get(kept.response["id"])
        await runs.aclose()
        return str(found.response["status"])

    assert asyncio.run(wait()) == "queued"


# make key OWNER=name SECRET=id


def make_key(vault: Vault, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    import os

    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        **vault.environment,
        **variables,
    }
    command = [sys.executable, "-m", "agency_lambda.auth", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_made_key_is_added_to_those_of_the_secret(vault: Vault, app: Callable[[str], FastAPI]) -> None:
    secret = vault.create()
    made = {}
    for owner in ("alice", "bob"):
        done = make_key(vault, owner, "--secret", secret)
        assert (done.returncode, done.stderr) == (0, "")
        (made[owner],) = (word for word in done.stdout.split() if word.startswith("al_"))
        assert f"{owner}:" not in done.stdout  # the pair is where it belongs
    assert [owner for owner, *_ in api_keys(vault.get(secret))] == ["alice", "bob"]
    service = app(secret)
    assert [call(service, key).status for key in made.values()] == [404, 404]


def test_no_key_is_shown_that_the_secret_did_not_take(vault: Vault) -> None:
    good, broken = vault.create(pair("alice")), vault.create("alice:al_secret")
    tried = [
        ("AWS refused the secret nobody-made-this", make_key(vault, "bob", "--secret", "nobody-made-this")),
        ("pair 1: write owner:sha256hex", make_key(vault, "bob", "--secret", broken)),
        ("credentials", make_key(vault, "bob", "--secret", good, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")),
    ]
    vault.relay.fault = lambda operation, request: REFUSED if operation == "PutSecretValue" else None
    tried.append(("AccessDeniedException", make_key(vault, "bob", "--secret", good)))
    for said, done in tried:
        assert (done.returncode, done.stdout) == (1, ""), said
        assert done.stderr.startswith("No key made: ")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert "al_secret" not in done.stderr
    assert vault.get(good) == pair("alice")


@pytest.mark.parametrize("arguments", [("bob", "--secret"), ("bob", "--secret", ""), ("bob", "--other", "x")])
def test_half_a_command_makes_no_key(vault: Vault, arguments: tuple[str, ...]) -> None:
    done = make_key(vault, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No key made: write `make key OWNER=name`")
