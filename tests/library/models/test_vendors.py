"""Models of other vendors through litellm, against servers on loopback that speak as those vendors do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agency_lambda.framework.models import vendors
from agency_lambda.testing.vault import Vault, secrets_manager
from tests.library.conftest import PYTHONPATH
from tests.library.models import vendor_server
from tests.library.models.vendor_server import USAGE, WORDS, serving

ROOT = Path(__file__).parents[3]
PROXY = "http://127.0.0.1:9"  # whatever is asked of the network besides fails


class Vendor(NamedTuple):
    """base: the variable with the server's address. keys: variables. header: where the key is sent."""

    answer: Callable[[str, dict[str, Any]], Any]
    model: str
    base: str
    keys: dict[str, str]
    header: str


AWS = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "key-of-the-role", "AWS_REGION": "eu-central-1"}
VENDORS = {
    "anthropic": Vendor(
        vendor_server.anthropic,
        "anthropic/claude-sonnet-4-5",
        "ANTHROPIC_API_BASE",
        {"ANTHROPIC_API_KEY": "sk-ant-test"},
        "x-api-key",
    ),
    "gemini": Vendor(
        vendor_server.gemini,
        "gemini/gemini-2.5-flash",
        "GEMINI_API_BASE",
        {"GEMINI_API_KEY": "gemini-test"},
        "x-goog-api-key",
    ),
    "bedrock": Vendor(
        vendor_server.bedrock,
        "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
        "AWS_BEDROCK_RUNTIME_ENDPOINT",
        AWS,
        "authorization",
    ),
}


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with secrets_manager() as made:
        yield made


def run(vendor: Vendor, how: str, folder: Path, **variables: str) -> dict[str, Any]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": PYTHONPATH,
        "STORE": f"sqlite:///{folder}/agency.db",
        **{"HTTPS_PROXY": PROXY, "https_proxy": PROXY, "NO_PROXY": "127.0.0.1"},
        **variables,
    }
    command = [sys.executable, "-m", "tests.library.models.vendor_run", f"litellm/{vendor.model}", how]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told | {"log": done.stderr}


@pytest.mark.parametrize("how", ["whole", "stream"])
@pytest.mark.parametrize("name", VENDORS)
def test_vendor_is_asked_with_its_own_key(name: str, how: str, tmp_path: Path) -> None:
    vendor = VENDORS[name]
    with serving(vendor.answer) as (url, requests):
        told = run(vendor, how, tmp_path, **{vendor.base: url, **vendor.keys})
    assert (told["status"], told["words"]) == ("completed", [WORDS]), told
    assert told["activities"] == ["Boss uses look"]
    assert len(requests) == told["usage"]["model_calls"] == 2
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (2 * USAGE[0], 2 * USAGE[1])
    key = next(iter(vendor.keys.values()))
    assert all(key in headers[vendor.header] or key in path for path, headers, _ in requests)


@pytest.mark.parametrize("name", ["anthropic", "gemini"])
def test_key_of_a_vendor_may_be_a_secret(name: str, vault: Vault, tmp_path: Path) -> None:
    vendor = VENDORS[name]
    ((variable, key),) = vendor.keys.items()
    with serving(vendor.answer) as (url, requests):
        secret = {f"{variable}_SECRET": vault.create(f"{key}\n")}
        told = run(vendor, "whole", tmp_path, **{vendor.base: url, **secret, **vault.environment})
    assert told["words"] == [WORDS]
    assert all(key in headers[vendor.header] or key in path for path, headers, _ in requests)


def test_without_its_key_the_offline_model_answers(tmp_path: Path) -> None:
    vendor = VENDORS["anthropic"]
    with serving(vendor.answer) as (url, requests):
        told = run(vendor, "whole", tmp_path, **{vendor.base: url})
    assert told["words"][0].startswith("[offline model] Boss")
    assert requests == []


def test_limit_holds_where_only_another_vendor_has_a_key(tmp_path: Path) -> None:
    vendor = VENDORS["anthropic"]
    with serving(lambda path, body: vendor.answer(path, {**body, "messages": []})) as (url, requests):
        told = run(vendor, "whole", tmp_path, **{vendor.base: url, **vendor.keys})
    assert told["status"] == "failed"
    assert len(requests) == told["usage"]["model_calls"] == 50


@pytest.mark.parametrize(
    ("name", "variables", "known"),
    [
        ("litellm/mistral/large", {"MISTRAL_API_KEY": "x"}, True),
        ("litellm/mistral/large", {}, False),
        ("litellm/gemini/pro", {"GOOGLE_API_KEY": "x"}, True),
        ("litellm/bedrock/nova", {"AWS_BEARER_TOKEN_BEDROCK": "x"}, True),
        ("litellm/ollama/llama3", {}, True),
        ("any-llm/groq/llama", {"GROQ_API_KEY": "x"}, True),
        ("gpt-5", {"GPT-5_API_KEY": "x", "OPENAI_API_KEY": "x"}, False),
        ("openai/gpt-5", {"OPENAI_API_KEY": "x"}, False),
        (None, {}, False),
    ],
)
def test_key_of_a_vendor_is_known_by_its_variables(
    name: str | None, variables: dict[str, str], known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GEMINI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert vendors.has_key(name) is known
