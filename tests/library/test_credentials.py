"""Clients of openai that the agencies' own code makes: with a key, with none, and made before there was one."""

import asyncio
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
from agents.tracing.processors import BackendSpanExporter
from openai import APIConnectionError, AsyncOpenAI, AzureOpenAI, OpenAI

from agency_lambda import credentials
from agency_lambda.framework import patches
from agency_lambda.framework.openai_clients import keep_key, renew
from agency_lambda.settings import Settings
from tests.library.model_server import ModelServer

CLIENTS = ("sync", "async", "copied", "explicit")


@pytest.fixture(autouse=True)
def own_environment(clean_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    patches.install()
    return clean_environment


def make(kind: str) -> Any:
    """A client as code of an agency makes it."""
    if kind == "async":
        return AsyncOpenAI()
    if kind == "explicit":
        return OpenAI(api_key=os.environ["OPENAI_API_KEY"], base_url=os.environ.get("OPENAI_BASE_URL"))
    return OpenAI().with_options(timeout=3) if kind == "copied" else OpenAI()


def ask(client: Any) -> str:
    """One question; returns the answer's text."""
    if isinstance(client, OpenAI):
        with client:
            return client.responses.create(model="gpt-5", input="hello").output_text

    async def asked() -> str:
        async with client:
            answer = await client.responses.create(model="gpt-5", input="hello")
            return str(answer.output_text)

    return asyncio.run(asked())


@pytest.mark.parametrize("kind", CLIENTS)
def test_client_made_without_a_key_fails_by_the_names_of_the_settings(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    credentials.prepare()
    with pytest.raises(APIConnectionError, match="OPENAI_API_KEY is not set, and OPENAI_API_KEY_SECRET names no"):
        ask(make(kind))
    assert connected == []


@pytest.mark.parametrize("kind", CLIENTS)
def test_client_finds_the_key_and_the_address(kind: str) -> None:
    with ModelServer(["good"]) as server:
        credentials.provide("sk-ours", server.base_url)
        assert ask(make(kind)) == "good"
        assert server.requests[0].headers["authorization"] == "Bearer sk-ours"


@pytest.mark.parametrize("kind", CLIENTS)
def test_client_made_before_there_was_a_key_finds_it_later(kind: str) -> None:
    credentials.prepare()
    client = make(kind)
    with ModelServer(["good"]) as server:
        credentials.provide("sk-ours", server.base_url)
        assert ask(client) == "good"
        assert server.requests[0].headers["authorization"] == "Bearer sk-ours"


@pytest.mark.parametrize("kind", CLIENTS)
def test_client_follows_a_rotated_key(kind: str) -> None:
    with ModelServer(["good"]) as server:
        credentials.provide("sk-old", server.base_url)
        client = make(kind)
        credentials.provide("sk-new", server.base_url)
        assert ask(client) == "good"
        assert server.requests[0].headers["authorization"] == "Bearer sk-new"


def test_client_made_before_there_was_a_key_asks_openai_where_no_address_is_set() -> None:
    credentials.prepare()
    client = OpenAI()
    assert str(client.base_url).startswith("http://127.0.0.1:9/")
    credentials.provide("sk-ours")
    renew(client)
    assert (client.api_key, str(client.base_url)) == ("sk-ours", "https://api.openai.com/v1/")


def test_key_of_somebody_else_goes_where_it_was_sent() -> None:
    credentials.provide("sk-ours")
    with ModelServer(["one", "two"]) as server:
        assert ask(OpenAI(api_key="sk-theirs", base_url=server.base_url)) == "one"
        azure = AzureOpenAI(api_key="azure", api_version="v1", base_url=server.base_url)
        assert ask(azure) == "two"
        headers = [request.headers for request in server.requests]
    assert headers[0]["authorization"] == "Bearer sk-theirs"
    assert headers[1]["api-key"] == "azure"


def test_client_of_the_service_keeps_its_key() -> None:
    """A run that has begun goes on with the key that it began with."""
    with ModelServer(["good"]) as server:
        credentials.provide("sk-old", server.base_url)
        client = keep_key(make("async"))
        credentials.provide(None)
        assert ask(client) == "good"
        assert server.requests[0].headers["authorization"] == "Bearer sk-old"


def test_exporter_of_traces_follows_the_key_and_sends_nothing_without_one() -> None:
    credentials.prepare()
    exporters = [BackendSpanExporter(), BackendSpanExporter(api_key=os.environ["OPENAI_API_KEY"])]
    own = BackendSpanExporter(api_key="sk-of-their-own")
    found = []
    for key in (None, "sk-old", "sk-new"):
        credentials.provide(key)
        found.append([exporter.api_key for exporter in exporters])
        assert own.api_key == "sk-of-their-own"
    own.set_api_key("sk-another")
    assert (found, own.api_key) == ([[None] * 2, ["sk-old"] * 2, ["sk-new"] * 2], "sk-another")
    for exporter in (*exporters, own):
        exporter.close()


def test_variable_of_the_deployment_is_never_changed(own_environment: pytest.MonkeyPatch) -> None:
    own_environment.setenv("OPENAI_API_KEY", "sk-of-the-deployment")
    own_environment.setenv("OPENAI_BASE_URL", "https://theirs.example/v1")
    for key in (None, "sk-ours"):
        credentials.provide(key, "https://ours.example/v1")
        credentials.withdraw()
        assert os.environ["OPENAI_API_KEY"] == "sk-of-the-deployment"
        assert os.environ["OPENAI_BASE_URL"] == "https://theirs.example/v1"


@pytest.mark.parametrize(("key", "base_url"), [(None, None), ("sk-ours", None), ("sk-ours", "https://ours.example/v1")])
def test_what_was_put_is_no_setting_and_can_be_taken_back(key: str | None, base_url: str | None) -> None:
    credentials.provide(key, base_url)
    assert os.environ["OPENAI_API_KEY"] == key or credentials.NO_KEY
    assert (Settings().openai_api_key, Settings().openai_base_url) == (None, None)
    credentials.withdraw()
    assert not {"OPENAI_API_KEY", "OPENAI_BASE_URL"} & {*os.environ}


def test_placeholder_is_no_setting_of_a_child_process() -> None:
    credentials.prepare()
    code = "from agency_lambda.settings import Settings; print(Settings().openai_api_key, Settings().openai_base_url)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "None None\n"


def test_key_that_is_set_after_the_placeholder_is_a_setting(own_environment: pytest.MonkeyPatch) -> None:
    credentials.prepare()
    own_environment.setenv("OPENAI_API_KEY", "sk-of-the-deployment")
    key = Settings().openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-of-the-deployment"


def test_importing_credentials_imports_nothing_heavy() -> None:
    code = "import sys; from agency_lambda import credentials as _\n"
    code += "print({'openai', 'httpx', 'agents', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_preparing_leaves_the_key_of_a_run() -> None:
    credentials.provide("sk-ours", "https://ours.example/v1")
    credentials.prepare()
    assert (os.environ["OPENAI_API_KEY"], os.environ["OPENAI_BASE_URL"]) == ("sk-ours", "https://ours.example/v1")
    credentials.provide(None)
    assert os.environ["OPENAI_API_KEY"] == credentials.NO_KEY
