"""What is in the bundle and what must never be; its size; the same input, the same bytes; two builds at once."""

import importlib.util
import platform
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from agency_lambda_cdk import bundle
from agency_lambda_cdk.bundle import ROOT, BundleError, bytecode, left_out, sources
from agency_lambda_cdk.bundle.sources import Sources
from lambda_loop.places import is_library_file
from tests.library.conftest import AGENTS

HOST: bundle.Architecture = "x86_64" if platform.machine() in ("x86_64", "AMD64") else "arm64"
REQUIREMENTS = ("requirements.in", "requirements.txt", "agents/requirements.in", "agents/requirements.txt")
LOCK = """\
crew==1 \\
    --hash=sha256:0
    # via -r requirements.in
litellm==2 ; sys_platform == 'linux' \\
    --hash=sha256:0
    # via crew
tokens==3 \\
    --hash=sha256:0
    # via litellm
shared==4 \\
    --hash=sha256:0
    # via
    #   crew
    #   litellm
black==5 \\
    # via crew
"""


@pytest.fixture(scope="module")
def folder() -> Path:
    return bundle.build(HOST, AGENTS)


def inside(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_bundle_of_the_benchmark_is_small(architecture: bundle.Architecture) -> None:
    """The adopter's agencies have no limit but Lambda's."""
    folder = bundle.build(architecture, ROOT / "benchmarks" / "task")
    assert bundle.parts(folder).total() <= 75_000_000
    zipped = bundle.zipped(architecture, ROOT / "benchmarks" / "task")
    assert zipped == folder.with_name(f"{folder.name}.zip")
    assert zipped.stat().st_size <= 27_000_000


def test_in_the_bundle_agents_means_the_sdk(folder: Path) -> None:
    assert (folder / "agents" / "run.py").exists()
    assert not (folder / "agents" / "agencies.py").exists()
    for name in ("agencies.py", "letters/agency.py", "handler/api.py"):
        assert (folder / name).read_bytes() == (ROOT / Sources(AGENTS).files()[Path(name)]).read_bytes()
    assert (folder / "letters" / "instructions.md").exists()


def test_in_the_bundle_packages_are_told_from_the_users_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    packages = ("openai/__init__.py", "agents/run.py", "agency_swarm/agency/core.py", "typing_extensions.py")
    users = ("agencies.py", "letters/agency.py", "handler/api.py")
    assert [is_library_file(str(folder / name)) for name in (*packages, *users)] == [True] * 4 + [False] * 3


def test_nothing_secret_or_foreign_is_in_the_bundle(folder: Path) -> None:
    names = [name for name in inside(folder) if any(part.startswith(".") or part == "tests" for part in name.parts)]
    assert names == []
    assert not (folder / "agency_lambda" / "testing").exists()
    foreign = {"pytest", "aws_cdk", "infra", "bin", "litellm", "tokenizers", "uvloop", "keyring", "black"}
    assert not foreign & {path.name for path in folder.iterdir()}
    assert not [path for path in folder.rglob("*") if path.suffix in (".pyi", ".key", ".p12")]


def test_everything_is_compiled_for_good(folder: Path) -> None:
    for source in folder.rglob("*.py"):
        assert Path(importlib.util.cache_from_source(str(source))).exists(), source
    for compiled in folder.rglob("*.pyc"):
        content = compiled.read_bytes()
        assert content[:4] == importlib.util.MAGIC_NUMBER, compiled
        assert content[4:8] == b"\1\0\0\0", compiled  # a hash that is not checked: no date, no reading of the source
        assert str(folder).encode() not in content
    api = importlib.util.cache_from_source(str(folder / "handler" / "api.py"))
    assert b"/var/task/handler/api.py" in Path(api).read_bytes()


def test_large_packages_have_bytecode_instead_of_sources_and_all_others_have_both(folder: Path) -> None:
    for name in bytecode.INSTEAD.split():
        assert (folder / name).is_dir(), f"{name} is not in the bundle any more"
        assert list((folder / name).rglob("*.py")) == []
    for path in (
        "handler/api.py",
        "letters/agency.py",
        "agencies.py",
        "agents/run.py",
        "agency_swarm/__init__.py",
    ):
        assert (folder / path).exists()


def test_the_zip_is_the_folder_and_the_same_input_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere" / "bundle"
    bundle.make(again, HOST, Sources(AGENTS))
    assert inside(again) == inside(folder)
    archives = [path.with_name(f"{path.name}.zip") for path in (folder, again)]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with ZipFile(archives[0]) as archive:
        assert {Path(name): archive.read(name) for name in archive.namelist()} == inside(folder)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {oct(entry.external_attr >> 16) for entry in archive.infolist()} <= {"0o100644", "0o100755"}


def test_a_script_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("wrapper.sh", "a.py"):
        (tmp_path / "b" / name).write_text("")
    bundle._zip(tmp_path / "b", tmp_path / "b.zip")
    with ZipFile(tmp_path / "b.zip") as archive:
        found = [(entry.filename, oct(entry.external_attr >> 16)) for entry in archive.infolist()]
    assert found == [("a.py", "0o100644"), ("wrapper.sh", "0o100755")]


@pytest.mark.parametrize(
    ("named", "code", "kept"),
    [
        ("crew==1  # the framework", "", {"crew", "shared"}),
        ("crew==1\n# litellm==2", "", {"crew", "shared"}),
        ("crew==1\nlitellm==2", "", {"crew", "shared", "litellm", "tokens"}),
        ("crew==1", 'Agent(model="litellm/claude")', {"crew", "shared", "litellm", "tokens"}),
        ("crew==1", "ToolFactory.from_openapi_schema(text)", {"crew", "shared", "black"}),
        ("Crew[all]>=1\nblack", "", {"crew", "shared", "black"}),
    ],
)
def test_what_is_left_out_stays_where_it_is_asked_for(named: str, code: str, kept: set[str]) -> None:
    lines = left_out.requirements(LOCK, named, code).splitlines()
    assert {line.partition("==")[0] for line in lines if not line.startswith(" ")} == kept


def test_what_the_adopters_packages_need_stays() -> None:
    added = """\
mine==6 \\
    # via -r agents/requirements.in
black==5 \\
    # via
    #   -c requirements.txt
    #   mine
crew==1 \\
    # via mine
litellm==2 \\
    # via crew
"""
    kept = left_out.requirements(LOCK, "crew==1\nmine==6", "", added)
    assert sorted(re.findall(r"^\w+", kept, re.MULTILINE)) == ["black", "crew", "mine", "shared"]
    assert kept.count("black==5") == 1


def test_every_package_that_is_left_out_is_in_the_lock_file_and_has_a_reason() -> None:
    lock = (ROOT / "requirements.txt").read_text()
    for name, reason in left_out.PACKAGES.items():
        assert f"\n{name}==" in f"\n{lock}"
        assert reason
    assert {name for names in left_out.ASKED_FOR.values() for name in names} <= left_out.PACKAGES.keys()


def test_the_aws_services_that_agents_ask_for_stay(tmp_path: Path) -> None:
    for service in ("sqs", "s3", "ec2"):
        for file in (tmp_path / "botocore/data" / service / "2000/service-2.json", tmp_path / "botocore/data/a.json"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    left_out.remove_files(tmp_path, 'boto3.client("s3", region_name="x")')
    assert {path.name for path in (tmp_path / "botocore/data").iterdir()} == {"sqs", "s3", "a.json"}


@pytest.mark.parametrize(("code", "kept"), [("", []), ("from fastmcp import Client", ["client.py"])])
def test_files_that_agents_ask_for_stay(tmp_path: Path, code: str, kept: list[str]) -> None:
    file = tmp_path / "fastmcp" / "client" / "client.py"
    file.parent.mkdir(parents=True)
    file.touch()
    left_out.remove_files(tmp_path, code)
    assert [path.name for path in tmp_path.rglob("*.py")] == kept
    assert left_out.is_left_out("fastmcp.client.client", code) is not bool(kept)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """checkout({path: text}) -> an installed bundle, to copy that checkout's handler/ and agents/ into."""

    def write(texts: dict[str, str]) -> Path:
        for name, text in ({"handler/api.py": ""} | dict.fromkeys(REQUIREMENTS, "") | texts).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        (tmp_path / "installed" / "openai").mkdir(parents=True, exist_ok=True)
        return tmp_path / "installed"

    monkeypatch.setattr(sources, "ROOT", tmp_path)
    return write


@pytest.mark.parametrize(
    "name",
    [
        *(".env", "prod.env", "desk/.env.local", ".git/config", "desk/server.pem", "desk/server.key", "desk/a.py~"),
        *("desk/__pycache__/a.cpython-313.pyc", "desk/tests/a.py", ".DS_Store", "desk/.a.py.swp"),
    ],
)
def test_what_is_never_copied(checkout: Callable[..., Path], tmp_path: Path, name: str) -> None:
    installed = checkout({"agents/desk/a.py": ""})
    ours = Sources(tmp_path / "agents")
    digest = ours.digest(HOST)
    checkout({f"agents/{name}": "KEY=secret"})
    ours.copy_into(installed)
    assert {str(path) for path in inside(installed)} == {"handler/api.py", "desk/a.py"}
    assert ours.digest(HOST) == digest


def test_the_offline_model_may_be_left_out(checkout: Callable[..., Path], tmp_path: Path) -> None:
    checkout({"src/agency_lambda/offline/model.py": "", "src/agency_lambda/app.py": "", "agents/desk/offline.py": ""})
    every, fewer = (set(Sources(tmp_path / "agents", each).files()) for each in (True, False))
    assert every - fewer == {Path("agency_lambda/offline/model.py")}


def test_bundles_of_other_agencies_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path, architecture: str, contents: Sources) -> None:
        folder.mkdir()
        (folder / "made").touch()
        bundle.beside(folder, ".zip").touch()

    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    monkeypatch.setattr(bundle, "make", make)
    built = [bundle.build(HOST), bundle.build(HOST, tmp_path), bundle.build(HOST, offline_model=False)]
    assert len({*built}) == 3
    assert bundle.build(HOST, tmp_path) == built[1]
    assert built[0].name == f"bundle-{HOST}"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"agents/openai/agency.py": ""}, "agents/openai has the name of an installed package"),
        ({"agents/openai.py": ""}, "agents/openai.py has the name of an installed package"),
        ({"agents/handler/agency.py": ""}, "agents/handler has the name of an installed package"),
        ({"agents/email/agency.py": ""}, "agents/email has the name of an installed package"),
    ],
)
def test_what_could_not_run_is_refused_by_name(
    checkout: Callable[..., Path], tmp_path: Path, texts: dict[str, str], message: str
) -> None:
    installed = checkout(texts)
    with pytest.raises(BundleError, match=message):
        Sources(tmp_path / "agents").copy_into(installed)


@pytest.mark.parametrize("name", ["handler/api.py", "agents/a.txt", *REQUIREMENTS])
def test_the_digest_covers_what_goes_in(checkout: Callable[..., Path], tmp_path: Path, name: str) -> None:
    checkout({"agents/a.txt": ""})
    ours = Sources(tmp_path / "agents")
    digest = ours.digest("arm64")
    assert ours.digest("x86_64") != digest
    checkout({name: "x = 1"})
    assert ours.digest("arm64") != digest


def test_two_builds_at_once_make_one_bundle_and_one_that_is_interrupted_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []
    interrupted = True

    def make(folder: Path, architecture: str, contents: Sources) -> None:
        made.append(folder.exists())
        folder.mkdir()
        (folder / "first").touch()
        time.sleep(0.2)
        if interrupted:
            raise KeyboardInterrupt
        (folder / "second").touch()
        bundle.beside(folder, ".zip").touch()

    def build() -> None:
        folder = bundle.build("arm64")
        seen.append((len(list(folder.iterdir())), bundle.zipped("arm64").exists()))

    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    monkeypatch.setattr(bundle, "make", make)
    with pytest.raises(KeyboardInterrupt):
        bundle.build("arm64")
    interrupted, seen = False, []
    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(2, True)] * 3
    assert made == [False, False]


def test_what_cannot_be_built_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="architecture 'arm' is unknown: write arm64 or x86_64"):
        bundle.build("arm")  # type: ignore[arg-type]
    monkeypatch.setattr("sys.version_info", (3, 12, 4))
    with pytest.raises(BundleError, match=r"the bytecode is for Python 3\.13, and this is Python"):
        bundle.build("arm64")
