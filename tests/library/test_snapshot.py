"""SnapStart, imitated: a process that is prepared for a snapshot is forked, and each clone answers."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent
from agents import AgentHooks, GuardrailFunctionOutput, input_guardrail

from agency_lambda import credentials
from agency_lambda.framework import rehearsal
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.testing.aws import dynamodb_table, relay_before
from agency_lambda.testing.vault import Vault, secrets_manager
from tests.library.conftest import PYTHONPATH
from tests.library.model_server import ModelServer

ROOT = Path(__file__).parents[2]
KEY = "al_snapshot"
ASK = {"model": "letters", "input": "Client Nordwind asks for a date."}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with secrets_manager() as vault:
        yield vault


class Prepared:
    """The prepared process; `clone` lets it go on in clones."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.library.prepared"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": PYTHONPATH,
                "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
                "AWS_LAMBDA_FUNCTION_NAME": "api",
                "TMPDIR": str(folder),
                "BEARER": f"Bearer {KEY}",
                **variables,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.before = next(_told(self._process.stdout))

    def clone(self, *requests: Any) -> list[dict[str, Any]]:
        """One for each request, all from the same memory."""
        written, _ = self._process.communicate("".join(f"{json.dumps(each)}\n" for each in requests), timeout=120)
        return list(_told(written.splitlines()))


def _told(lines: Any) -> Iterator[Any]:
    for line in lines:
        if line.startswith("TOLD "):
            yield json.loads(line.removeprefix("TOLD "))


def keys(vault: Vault) -> str:
    return vault.create(f"anna:{hashlib.sha256(KEY.encode()).hexdigest()}")


def test_clones_answer_at_once_and_share_nothing(vault: Vault, tmp_path: Path) -> None:
    readings = vault.readings()
    with (
        dynamodb_table() as (table, environment),
        relay_before(environment["AWS_ENDPOINT_URL_DYNAMODB"]) as (relay, url),
    ):
        variables = {**vault.environment, **environment, "AWS_ENDPOINT_URL_DYNAMODB": url}
        store = {"STORE": f"dynamodb://{table}", "LETTERS_FOLDER": f"{tmp_path}/letters"}
        secrets = {"API_KEYS_SECRET": keys(vault), "OPENAI_API_KEY_SECRET": vault.create()}
        secrets["OTHER_API_KEY_SECRET"] = vault.create("sk-other")
        prepared = Prepared(tmp_path, **variables, **store, **secrets)
        assert prepared.before["connections"] == 0
        assert (vault.readings(), relay.operations()) == (readings, [])  # no secret in it, and nothing was done
        clones = prepared.clone(ASK, ASK, ASK)
    assert [clone["status"] for clone in clones] == [200, 200, 200]
    assert [clone["other"] for clone in clones] == ["sk-other"] * 3
    assert all("OPENAI_API_KEY is not set" in clone["client"] for clone in clones)
    assert len({clone["id"] for clone in clones}) == 3
    for values in zip(prepared.before["seen"], *(clone["seen"] for clone in clones), strict=True):
        assert len(set(values)) == 4, values
    assert all(clone["connections"] for clone in clones)
    shared = [
        set(first["connections"]) & set(second["connections"])
        for first in clones
        for second in clones
        if first is not second
    ]
    assert not any(shared)
    assert vault.readings() > readings
    for clone in clones:
        assert not [name for name in clone["imported"] if not name.startswith(("botocore", "encodings"))]


def with_real_model(vault: Vault, folder: Path, server: ModelServer, **variables: str) -> Prepared:
    return Prepared(
        folder,
        **vault.environment,
        STORE=f"sqlite:///{folder}/agency.db",
        LETTERS_FOLDER=f"{folder}/letters",
        API_KEYS_SECRET=keys(vault),
        OPENAI_API_KEY_SECRET=vault.create("sk-real"),
        OPENAI_BASE_URL=server.base_url,
        **variables,
    )


def test_a_clones_first_question_to_a_real_model_imports_nothing_of_its_client(vault: Vault, tmp_path: Path) -> None:
    with ModelServer() as server:
        prepared = with_real_model(vault, tmp_path, server)
        assert server.requests == []  # the rehearsal asks the offline model
        assert prepared.before["key"] == credentials.NO_KEY
        (clone,) = prepared.clone(ASK)
        assert clone["status"] == 200, clone
        assert len(server.requests) >= 2
        assert server.requests[-1].headers["authorization"] == "Bearer sk-real"
        assert "hello" in clone["client"]  # a client that was made before the snapshot has found the key
    assert not [name for name in clone["imported"] if name.startswith(("openai", "agents", "agency_swarm", "httpx"))]


def test_without_the_offline_model_no_run_is_rehearsed_and_none_is_missed(
    vault: Vault, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ModelServer() as server:
        prepared = with_real_model(vault, tmp_path, server, WITHOUT_OFFLINE_MODEL="1")
        (clone,) = prepared.clone(ASK)
        assert clone["status"] == 200, clone
    assert "could not be run before the snapshot" not in capfd.readouterr().err


def test_where_no_snapshot_is_taken_nothing_is_prepared(tmp_path: Path) -> None:
    prepared = Prepared(
        tmp_path,
        AWS_LAMBDA_INITIALIZATION_TYPE="on-demand",
        STORE=f"sqlite:///{tmp_path}/agency.db",
        API_KEYS=f"anna:{hashlib.sha256(KEY.encode()).hexdigest()}",
        LETTERS_FOLDER=f"{tmp_path}/letters",
    )
    (clone,) = prepared.clone(ASK)
    assert "agency_swarm" in clone["imported"]


@pytest.mark.parametrize("code", ["hooks", "input_guardrails", "instructions", "model"])
def test_an_agency_with_code_of_its_own_in_a_run_is_not_rehearsed(code: str) -> None:
    """It might write, ask or remember something, in the name of nobody."""
    own = {
        "hooks": AgentHooks[Any](),
        "input_guardrails": [_guardrail],
        "instructions": lambda context, agent: "x",
        "model": OfflineModel("A"),
    }
    agent = Agent(name="A", instructions="x")
    setattr(agent, code, own[code])
    assert not rehearsal.runs_no_foreign_code(Agency(agent))
    assert rehearsal.runs_no_foreign_code(Agency(Agent(name="A", instructions="x")))
    assert not rehearsal.runs_no_foreign_code(Agency(Agent(name="A", instructions="x"), load_threads_callback=list))


@pytest.mark.parametrize(("models", "imported"), [([None, "gpt-5"], False), ([None, "litellm/bedrock/nova"], True)])
def test_litellm_is_imported_before_the_snapshot_where_it_will_be_asked(models: list[Any], imported: bool) -> None:
    code = (
        "import sys; from types import SimpleNamespace; from agency_lambda.framework import rehearsal; "
        f"rehearsal.import_vendors(SimpleNamespace(agents={{}}), *{models!r}); print('litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == f"{imported}\n", done.stderr


@input_guardrail
async def _guardrail(*_: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)
