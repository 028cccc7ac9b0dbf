"""On Lambda the bundle's manifest says what an agency needs: no agency is imported to know it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agency_lambda import telemetry
from agency_lambda.catalogue import manifest
from tests.library.catalogue.agencies import AGENCY
from tests.library.catalogue.conftest import Agents
from tests.library.conftest import Service

ROOT = Path(__file__).parents[3]
AGENTS = [{"name": "One", "tools": []}, {"name": "Two", "tools": []}]
KNOWN = {
    "shop": {"variables": ["SHOP_TOKEN"], "description": {"name": "shop", "agents": AGENTS}},
    "desk": {"variables": [], "description": None},
}


@pytest.fixture
def bundled(
    agents: Agents, start: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """A service whose agency "shop" needs SHOP_TOKEN, as its manifest knows."""
    code = f"import os\nTOKEN = os.environ['SHOP_TOKEN']\n{AGENCY}"
    agents(
        {"desk": "desk.agency:create_agency", "shop": "shop.agency:create_agency"},
        **{"desk/agency": AGENCY, "shop/agency": code},
    )
    (tmp_path / "manifest.json").write_text(json.dumps(KNOWN))
    monkeypatch.setattr(manifest, "FILE", tmp_path / "manifest.json")
    manifest._read.cache_clear()
    yield start()
    manifest._read.cache_clear()


@pytest.mark.parametrize("path", ["/completion", "/v1/responses"])
@pytest.mark.parametrize("more", [{}, {"background": True}])
def test_what_is_not_configured_is_a_503_and_the_others_answer(
    bundled: Service, path: str, more: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def ask(agency: str) -> tuple[int, Any]:
        if path == "/completion":
            return bundled.post(path, {"agency": agency, "message": "hello"})
        return bundled.post(path, {"model": agency, "input": "hello", **more})

    status, body = ask("shop")
    assert status == 503
    assert "agency_not_configured" in (body["error"].get("code"), body["error"].get("type"))
    assert "SHOP_TOKEN" not in json.dumps(body)
    assert "SHOP_TOKEN" in caplog.text
    assert "shop.agency" not in sys.modules
    assert telemetry.log_line(bundled.report)["AgenciesNotConfigured"] in (1, [1])
    assert ask("desk")[0] == 200


@pytest.mark.parametrize("variable", ["SHOP_TOKEN", "SHOP_TOKEN_SECRET"])
def test_a_value_or_a_secret_configures_it(bundled: Service, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert manifest.not_configured() == {"shop": ["SHOP_TOKEN"]}
    monkeypatch.setenv(variable, "x")
    assert manifest.not_configured() == {}


def test_the_lists_go_on(bundled: Service) -> None:
    status, listed = bundled.get("/v1/models")
    assert (status, [each["id"] for each in listed["data"]]) == (200, ["desk", "shop", "shop/One", "shop/Two"])
    assert "desk.agency" not in sys.modules
    desk, shop = bundled.get("/agencies")[1]["agencies"]
    assert [agent["name"] for agent in desk["agents"]] == ["One"]
    assert shop == {
        "name": "shop",
        "entry_points": [],
        "agents": [],
        "flows": [],
        "error": {"code": "agency_not_configured"},
    }
    assert [each["id"] for each in bundled.get("/v1/models")[1]["data"]] == [
        "desk",
        "desk/One",
        "shop",
        "shop/One",
        "shop/Two",
    ]


def test_the_others_are_listed_where_one_cannot_be_built(agents: Agents, service: Service) -> None:
    table = {name: f"{name}.agency:create_agency" for name in ("one", "two")}
    agents(table, **{"one/agency": "raise ValueError", "two/agency": AGENCY})
    status, body = service.get("/agencies")
    assert status == 200
    one, two = body["agencies"]
    assert one["error"] == {"code": "agency_misconfigured"}
    assert [agent["name"] for agent in two["agents"]] == ["One"]


def test_an_agency_is_built_once_for_the_list(
    agents: Agents, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    agents(
        {"one": "one.agency:create_agency"},
        **{"one/agency": AGENCY.replace("    return", "    print('made')\n    return")},
    )
    for _ in range(3):
        assert service.get("/agencies")[0] == 200
    assert capsys.readouterr().out.count("made") == 1


def test_a_start_says_what_is_not_configured(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.log_not_configured({})
    assert capsys.readouterr().out == ""
    telemetry.log_not_configured({"shop": ["SHOP_TOKEN"]})
    line = json.loads(capsys.readouterr().out)
    assert line["not_configured"] == {"shop": ["SHOP_TOKEN"]}
    assert line["AgenciesNotConfigured"] in (1, [1])


@pytest.mark.parametrize("deferred", ["0", "1"])
@pytest.mark.parametrize("override", ["", "override=True"])
def test_only_the_users_own_load_dotenv_counts(tmp_path: Path, deferred: str, override: str) -> None:
    """The framework would read a `.env` above site-packages, so above the checkout's .venv, over the real variables."""
    (tmp_path / "above.env").write_text("FROM_ABOVE=1\nREAL=changed\n")
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / ".env").write_text("FROM_DESK=1\nREAL=mine\n")
    (tmp_path / "desk" / "agency.py").write_text(f"from dotenv import load_dotenv\nload_dotenv({override})\n{AGENCY}")
    program = """
import os, pathlib, sys, handler, dotenv

def find_dotenv(*given, **named):
    caller = sys._getframe(2).f_globals
    library = caller["__name__"] in ("agency_swarm", "litellm")
    return os.environ["ABOVE"] if library else pathlib.Path(caller["__file__"]).with_name(".env")

dotenv.main.find_dotenv = find_dotenv
import agency_swarm, litellm
from agency_lambda.catalogue.entries import Factory
Factory("desk.agency:create_agency")()
print([os.environ.get(name) for name in ("FROM_ABOVE", "FROM_DESK", "REAL", "PYTHON_DOTENV_DISABLED")])
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tmp_path,
        env={
            "PYTHONPATH": f"{ROOT}:{ROOT}/src:{tmp_path}",
            "ABOVE": str(tmp_path / "above.env"),
            "REAL": "real",
            "DEFER_IMPORTS": deferred,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([None, "1", "mine" if override else "real", None])
