"""`make bundle`, `make synth` and `make deploy` ask the agencies what they need."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agency_lambda_cdk.bundle import agencies
from agency_lambda_cdk.bundle.agencies import MANIFEST, lacking, survey
from agency_lambda_cdk.bundle.sources import ROOT, BundleError
from tests.library.catalogue.agencies import AGENCY, STARTER


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """checkout(table, **{"desk/agency": text}): a checkout with this handler/ and those agencies."""
    for folder in ("handler", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(agencies, "ROOT", tmp_path)

    def write(table: dict[str, Any], **texts: str) -> Path:
        for name, text in {"agencies": f"AGENCIES = {table!r}", **texts}.items():
            file = tmp_path / "agents" / (name if "." in name else f"{name}.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(line.removeprefix("        ") for line in text.splitlines()))
        return tmp_path

    return write


def test_the_manifest_says_what_an_agency_needs(checkout: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "of this shell")
    needs = f"import os\nos.environ['SHOP_TOKEN'], int(os.environ['SHOP_PORT'])\n{AGENCY}"
    root = checkout(
        {"starter": "starter.agency:create_agency", "shop": "shop.agency:create_agency"},
        **STARTER,
        **{"shop/agency": needs},
    )
    found = survey(tmp_path / "agents")
    assert {name: each["variables"] for name, each in found.manifest.items()} == {
        "starter": [],
        "shop": ["SHOP_TOKEN", "SHOP_PORT"],
    }
    agents = found.manifest["starter"]["description"]["agents"]
    assert {each["name"]: each["tools"] for each in agents} == {"ExampleAgent": ["ExampleTool"], "ExampleAgent2": []}
    inside = {str(Path(file).relative_to(root / "agents")) for file in found.files}
    assert {"starter/agency.py", "starter/shared_names.py", "starter/example_agent/tools/ExampleTool.py"} <= inside
    assert "starter/main.py" not in inside
    assert found.roots == [str(root / "agents"), str(root / "agents" / "starter"), str(root / "agents" / "shop")]


def test_what_cannot_run_is_refused(checkout: Any, tmp_path: Path) -> None:
    checkout({"one": "one.agency:create_agency"}, **{"one/agency": "import nowhere"})
    with pytest.raises(BundleError, match=r"agency 'one': ModuleNotFoundError: .*nowhere.* \(agents/one/agency.py:1\)"):
        survey(tmp_path / "agents")
    checkout({"one": "one"})
    with pytest.raises(BundleError, match="'one' is no import string"):
        survey(tmp_path / "agents")


def test_a_broken_import_of_ours_is_refused(checkout: Any, tmp_path: Path) -> None:
    root = checkout({"one": "one.agency:create_agency"}, **{"one/agency": AGENCY})
    with (root / "src" / "agency_lambda" / "runs" / "compaction.py").open("a") as file:
        file.write("\nfrom agency_lambda.protocol.items import nothing_of_that_name\n")
    with pytest.raises(BundleError, match="nothing_of_that_name"):
        survey(tmp_path / "agents")


def test_what_needs_this_shell_says_so(
    checkout: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asks = f"import os\nif not os.getenv('SHOP_TOKEN'): raise ValueError('no SHOP_TOKEN')\n{AGENCY}"
    needs = f"import os\nos.environ['OTHER']\n{AGENCY}"
    table = {name: f"{name}.agency:create_agency" for name in ("one", "two")}
    checkout(table, **{"one/agency": asks, "two/agency": needs})
    with pytest.raises(BundleError, match="no SHOP_TOKEN"):
        survey(tmp_path / "agents")
    monkeypatch.setenv("SHOP_TOKEN", "t")
    monkeypatch.setenv("OTHER", "o")
    found = {name: each["variables"] for name, each in survey(tmp_path / "agents").manifest.items()}
    assert found == {"one": ["SHOP_TOKEN"], "two": ["OTHER"]}  # each is still to be named where it is deployed
    said = "With variables of this shell only (SHOP_TOKEN): agency 'one': ValueError: no SHOP_TOKEN"
    assert said in capsys.readouterr().err


def test_agents_is_no_package(checkout: Any, tmp_path: Path) -> None:
    (checkout({"one": "one.agency:create_agency"}) / "agents" / "__init__.py").touch()
    with pytest.raises(BundleError, match=r"delete .*agents/__init__\.py: `agents` is the import name"):
        survey(tmp_path / "agents")


def test_what_never_ends_is_ended(checkout: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout({"one": "one.agency:create_agency"}, **{"one/agency": f"import time\ntime.sleep(600)\n{AGENCY}"})
    monkeypatch.setattr(agencies, "_SECONDS", 5)
    with pytest.raises(BundleError, match="does not come to an end"):
        survey(tmp_path / "agents")


def test_no_dotenv_file_counts(checkout: Any, tmp_path: Path) -> None:
    needs = f"import os\nfrom dotenv import load_dotenv\nload_dotenv()\nos.environ['SHOP_TOKEN']\n{AGENCY}"
    checkout({"one": "one.agency:create_agency"}, **{"one/agency": needs, "one/.env": "SHOP_TOKEN=t"})
    assert survey(tmp_path / "agents").manifest["one"]["variables"] == ["SHOP_TOKEN"]


def test_the_bundle_has_it(tmp_path: Path) -> None:
    manifest = {"one": {"variables": ["A"], "description": None}, "two": {"variables": [], "description": None}}
    (tmp_path / MANIFEST).parent.mkdir(parents=True)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    assert lacking(tmp_path) == {"one": ["A"]}
