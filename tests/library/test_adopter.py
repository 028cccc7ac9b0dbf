"""An adopter follows README, "Your first agency", in a repository made from this one: every command is green."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS_NODE = pytest.mark.skipif(shutil.which("node") is None, reason="templates need Node, which is not installed")
EXAMPLES_WORDS = re.compile(r"weber|planfix|agreement", re.I)
PACKAGE = "sortedcontainers"  # pure, installed with the development tools, and in no requirement of the service
SHOP = {  # as Agency Swarm's starter template lays an agency out: siblings imported by their names
    "agency.py": """
        from agency_swarm import Agency
        from seller import seller
        from stock import stock

        def create_agency(load_threads_callback=None):
            return Agency(seller, communication_flows=[(seller, stock)], load_threads_callback=load_threads_callback)
    """,
    "seller/__init__.py": "from .seller import seller",
    "seller/seller.py": """
        from agency_swarm import Agent
        import   os

        unused = lambda : os
        seller = Agent(name="Seller", instructions="./instructions.md")
    """,
    "seller/instructions.md": "You sell bicycles in the shop, and you ask Stock how many there are.",
    "stock/__init__.py": "from .stock import stock",
    "stock/stock.py": """
        from agency_swarm import Agent

        stock = Agent(name="Stock", instructions="You know how many bicycles there are.", tools_folder="./tools")
    """,
    "stock/tools/CountBicycles.py": """
        from agency_swarm.tools import BaseTool
        from pydantic import Field
        from sortedcontainers import SortedDict

        class CountBicycles(BaseTool):
            "Counts the bicycles of a colour."

            colour: str = Field(..., description="the colour")

            def run(self):
                return f"{SortedDict(red=2).get(self.colour, 0)} bicycles"
    """,
}


class Repository:
    """A checkout of HEAD with the environments of this one linked in, so that nothing is installed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        tree = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        path.mkdir()
        subprocess.run(["tar", "-x"], cwd=path, input=tree, check=True)

    def add_shop(self, agencies: str) -> None:
        for name, text in SHOP.items():
            file = self.path / "agents" / "shop" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(line.removeprefix(" " * 8) for line in text.strip("\n").splitlines()) + "\n")
        table = self.path / "agents" / "agencies.py"
        table.write_text(re.sub(r"AGENCIES = \{.*\}", f"AGENCIES = {{{agencies}}}", table.read_text(), flags=re.DOTALL))

    def add_package(self) -> None:
        """Write agents/requirements.in, and what `make lock` makes of it; it takes the versions that are locked."""
        (pin,) = re.findall(rf"^({PACKAGE}==\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
        locked = (ROOT / "requirements-dev.txt").read_text().partition(pin)[2].partition("    # via")[0]
        (self.path / "agents" / "requirements.in").write_text(f"{pin}\n")
        (self.path / "agents" / "requirements.txt").write_text(f"{pin}{locked}")

    def delete_example(self) -> None:
        shutil.rmtree(self.path / "agents" / "agreement_desk")
        shutil.rmtree(self.path / "tests" / "agreement_desk")

    def link_environments(self) -> None:
        venv, here = Path(sys.prefix), self.path / ".venv"
        here.mkdir()
        for name in ("bin", "lib", "lib64", "include"):
            if (venv / name).exists():
                (here / name).symlink_to((venv / name).resolve())
        shutil.copy(venv / "pyvenv.cfg", here)
        for what in ("run", "dev"):
            (here / self._stamp(what)).touch()
        if (ROOT / ".mypy_cache").exists():  # checked by content: it saves most of a minute
            shutil.copytree(ROOT / ".mypy_cache", self.path / ".mypy_cache")
        installed, modules = ROOT / "node_modules", self.path / "node_modules"
        if not installed.exists():  # then `make` installs them
            return
        modules.mkdir()
        for each in installed.iterdir():
            (modules / each.name).symlink_to(each.resolve())

    def _stamp(self, what: str) -> str:
        """As scripts/setup names it: then it finds everything installed."""
        script = (self.path / "scripts" / "setup").read_text()
        files = re.findall(r'files="(.*?)"', script)[0].split()
        files += ["requirements-dev.txt", "requirements-sam.txt"] if what == "dev" else []
        command = f"cat {' '.join(files)} scripts/setup | cksum | tr ' ' '-'"
        done = subprocess.run(command, shell=True, cwd=self.path, capture_output=True, text=True, check=True)
        return f".{what}-{done.stdout.strip()}"

    def make(self, *arguments: str) -> str:
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.path,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "UV_CACHE_DIR", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL")
    return {name: os.environ[name] for name in kept if name in os.environ}


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """README's steps 1 to 3 and 5."""
    repository = Repository(tmp_path_factory.mktemp("adopter") / "repository")
    repository.add_shop('"shop": "shop.agency:create_agency"')
    repository.add_package()
    repository.delete_example()
    repository.link_environments()
    return repository


@NEEDS_NODE
def test_make_check_make_bundle_and_make_synth_are_green(adopted: Repository) -> None:
    assert "/build/bundle-arm64" in adopted.make("bundle")
    bundle = adopted.path / "build" / "bundle-arm64"
    assert (bundle / "shop" / "stock" / "tools" / "CountBicycles.py").exists()
    assert (bundle / PACKAGE).is_dir()
    assert not (bundle / "agreement_desk").exists()
    adopted.make("synth")
    assert (adopted.path / "cdk.out" / "agency-lambda-dev.template.json").exists()
    assert not EXAMPLES_WORDS.search(adopted.make("check"))


def test_make_test_agents_is_green_and_tests_the_adopters_agency(adopted: Repository) -> None:
    told = adopted.make("test-agents", "ARGS=-vv -p no:cacheprovider --ignore=tests/infra")  # stacks know no agency
    assert re.search(r"PASSED .*::test_it_resumes_after_a_crash_without_asking_twice\[shop\]", told), told
    assert not EXAMPLES_WORDS.search(told)


def test_make_run_prints_a_curl_that_is_answered(adopted: Repository) -> None:
    with running(adopted) as hint:
        assert not EXAMPLES_WORDS.search(hint)
        (curl,) = re.findall(r"^curl .*", hint, re.MULTILINE)
        done = subprocess.run(curl, shell=True, capture_output=True, text=True, timeout=60, check=True)
        answer = json.loads(done.stdout)
    assert (answer["agency"], answer["agent"]) == ("shop", "Seller")
    assert "bicycles" in answer["response"]


@pytest.mark.parametrize("first", ["shop", "agreement-desk"])
def test_the_example_and_an_agency_of_ones_own_are_both_served(first: str, tmp_path: Path) -> None:
    entries = ['"shop": "shop.agency:create_agency"', '"agreement-desk": "agreement_desk.agency:create_agency"']
    repository = Repository(tmp_path / "repository")
    repository.add_shop(", ".join(entries if first == "shop" else reversed(entries)))
    repository.add_package()
    repository.link_environments()
    repository.make("test-agents", "ARGS=tests/agencies -n 0 -p no:cacheprovider -k 'answers or tool or anew'")
    with running(repository) as hint:
        (curl,) = re.findall(r"^curl .*", hint, re.MULTILINE)
        done = subprocess.run(curl, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["agency"] == first


@contextmanager
def running(repository: Repository) -> Iterator[str]:
    """Yield what `make run` prints, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["make", "run", f"PORT={port}"],
        cwd=repository.path,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("OpenAI's clients"):
            lines.append(process.stdout.readline())
            assert lines[-1] or process.poll() is None, "".join(lines)
        yield "".join(lines)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
