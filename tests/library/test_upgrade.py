"""`make upgrade`: a copy of the template, changed by its adopter, takes a release that has changed too."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agency_lambda import __version__

ROOT = Path(__file__).parents[2]
LAST, NEW = f"v{__version__}", "v99.0.0"
EXAMPLE = ("agents/agreement_desk", "tests/agreement_desk")
PROMPT = f"{EXAMPLE[0]}/agreement_manager/instructions.md"
IDENTITY = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENVIRONMENT = {**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}
IS_TEMPLATE = (  # nothing was merged into it, and the example is there
    len((ROOT / ".agency-lambda-version").read_text().split()) == 1 and (ROOT / EXAMPLE[0]).exists()
)
pytestmark = pytest.mark.skipif(not IS_TEMPLATE, reason="this is an adopter's copy, and upgrades are tested on one")
AGENCY = """\
from agency_swarm import Agency, Agent


def create_agency(load_threads_callback=None):
    return Agency(Agent(name="Seller", instructions="Sell."), load_threads_callback=load_threads_callback)
"""
ROUTE = """

@app.get("/orders/{number}")
async def order(number: int) -> dict[str, int]:
    return {"number": number}
"""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, path
    path.write_text(text.replace(old, new, 1))


def tracked() -> list[str]:
    listing = ["git", "ls-files", "-co", "--exclude-standard"]
    found = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not found:
        pytest.skip("git does not know the files of this folder")
    return [path for path in found if (ROOT / path).is_file()]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody gets who copies the template without its history."""
    folder = tmp_path_factory.mktemp("copy")
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    return folder


@pytest.fixture(scope="module")
def template(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's repository with two releases. The second has changed everybody's files."""
    folder = shutil.copytree(copy, tmp_path_factory.mktemp("template"), dirs_exist_ok=True)
    git(folder, "init", "-q")
    commit(folder)
    git(folder, "tag", LAST)
    edit(folder / "src/agency_lambda/__init__.py", f'"{__version__}"', '"99.0.0"')
    edit(folder / ".agency-lambda-version", LAST, NEW)
    edit(folder / "CHANGELOG.md", "\n## ", "\n## 99.0.0\n\n### To do\n\nTurn the key once.\n\n## ")
    for path in ("requirements.txt", "infra/service_stack.py", "agents/agreement_desk/letter.py", PROMPT, "README.md"):
        edit(folder / path, "", "\n" if path == "README.md" else "# Of the new release.\n")
    (folder / "src/lambda_loop/new.py").touch()
    (folder / "agents/agreement_desk/new.py").touch()
    (folder / "docs/runs.md").unlink()
    commit(folder)
    git(folder, "tag", NEW)
    return folder


@pytest.fixture
def adopter(copy: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(copy, tmp_path / "adopter")
    for path in EXAMPLE:
        shutil.rmtree(folder / path)
    (folder / "agents/shop").mkdir()
    (folder / "agents/shop/agency.py").write_text(AGENCY)
    (folder / "agents/agencies.py").write_text('AGENCIES = {"shop": "shop.agency:create_agency"}\n')
    (folder / "README.md").write_text("# Our shop\n")
    with (folder / "agents/requirements.in").open("a") as file:
        file.write("pandas==2.3.3\n")
    with (folder / "handler/app.py").open("a") as file:
        file.write(ROUTE)
    with (folder / "infra/environments.py").open("a") as file:
        file.write("\nOURS = True\n")
    (folder / "docs/ours.md").touch()
    git(folder, "init", "-q")
    commit(folder)
    git(folder, "tag", NEW)  # of a deployment of theirs: nothing of the template's
    return folder


@pytest.fixture
def upgrade(adopter: Path, template: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """upgrade(to): run the script in the adopter's repository; says: what it printed."""

    def run(to: str = NEW, source: str = str(template), **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(adopter / "scripts/upgrade.py"), to, source]
        environment = {**ENVIRONMENT, **variables}
        return subprocess.run(command, cwd=adopter, env=environment, capture_output=True, text=True, check=False)

    return run


def test_upgrade_keeps_what_is_the_adopters_and_takes_the_library(
    upgrade: Callable[..., subprocess.CompletedProcess[str]], adopter: Path, template: Path
) -> None:
    yours = {path: (adopter / path).read_bytes() for path in git(adopter, "ls-files").split()}
    done = upgrade()
    assert done.returncode == 0, done.stderr
    assert "CONFLICT" not in done.stdout
    assert "Turn the key once." in done.stdout
    assert "make lock; make check" in done.stdout
    assert not any((adopter / path).exists() for path in EXAMPLE)
    for path in ("README.md", "agents/agencies.py", "agents/requirements.in", "handler/app.py", "docs/ours.md"):
        assert (adopter / path).read_bytes() == yours[path]
    assert (adopter / "infra/service_stack.py").read_text() == (template / "infra/service_stack.py").read_text()
    assert "OURS = True" in (adopter / "infra/environments.py").read_text()
    for path in ("requirements.txt", "src/lambda_loop/new.py", "CHANGELOG.md", "src/agency_lambda/__init__.py"):
        assert (adopter / path).read_bytes() == (template / path).read_bytes()
    assert not (adopter / "docs/runs.md").exists()
    assert (adopter / ".agency-lambda-version").read_text() == f"{NEW}\n{template}\n"
    assert git(adopter, "rev-parse", NEW) == git(adopter, "rev-parse", "HEAD")
    assert_it_works(adopter)
    commit(adopter)
    assert upgrade(to=NEW, source="").stderr == f"make upgrade: this is {NEW}: say another release, TO=v1.2.0\n"


def assert_it_works(adopter: Path) -> None:
    code = "from handler.app import app; assert app.version == '99.0.0'; app.url_path_for('order', number=1)"
    roots = os.pathsep.join(str(adopter / root) for root in ("", "src", "agents"))
    promises = ["-m", "pytest", "tests/agencies", "-k", "builds or answers", "-p", "no:cacheprovider"]
    for command in (["-c", code], ["scripts/check_version.py"], promises):
        done = subprocess.run(
            [sys.executable, *command], cwd=adopter, env={**ENVIRONMENT, "PYTHONPATH": roots}, capture_output=True
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_example_that_is_kept_is_merged(
    upgrade: Callable[..., subprocess.CompletedProcess[str]], adopter: Path, copy: Path, template: Path
) -> None:
    for path in EXAMPLE:
        shutil.copytree(copy / path, adopter / path)
    letter = adopter / "agents/agreement_desk/letter.py"
    letter.write_text(f"{letter.read_text()}# Ours.\n")
    (adopter / ".agency-lambda-version").write_text(f"{LAST}\n{template}\n")  # as an upgrade leaves it
    commit(adopter)
    done = upgrade(source="")
    assert done.returncode == 0, done.stdout
    assert (adopter / "agents/agreement_desk/new.py").exists()
    assert letter.read_text() == f"{(template / 'agents/agreement_desk/letter.py').read_text()}# Ours.\n"


def test_conflict_is_one_of_git_and_can_be_undone(
    upgrade: Callable[..., subprocess.CompletedProcess[str]], adopter: Path
) -> None:
    stack, loop = adopter / "infra/service_stack.py", adopter / "src/lambda_loop/__init__.py"
    stack.write_text(f"# Ours.\n{stack.read_text()}")
    loop.write_text("")
    commit(adopter)
    done = upgrade()
    assert done.returncode == 1
    assert "CONFLICT in infra/service_stack.py" in done.stdout
    assert "src/lambda_loop/__init__.py is the library's, so your change of it is undone" in done.stdout
    start = "<<<<<<< yours\n# Ours.\n=======\n# Of the new release.\n>>>>>>> new release\n"
    assert stack.read_text().startswith(start)
    assert git(adopter, "diff", "--name-only", "--diff-filter=U") == "infra/service_stack.py"
    assert "not committed" in upgrade().stderr
    git(adopter, "reset", "-q", "--hard")
    assert git(adopter, "status", "--porcelain") == ""
    assert stack.read_text().startswith("# Ours.\n")


def test_prompt_that_both_have_changed_is_a_conflict_though_a_readme_is_none(
    upgrade: Callable[..., subprocess.CompletedProcess[str]], adopter: Path, copy: Path
) -> None:
    shutil.copytree(copy / EXAMPLE[0], adopter / EXAMPLE[0])
    edit(adopter / PROMPT, "", "# Ours.\n")
    commit(adopter)
    done = upgrade()
    assert done.returncode == 1
    assert "README.md: yours is kept" in done.stdout
    assert (adopter / "README.md").read_text() == "# Our shop\n"
    assert git(adopter, "diff", "--name-only", "--diff-filter=U") == PROMPT
    assert (adopter / PROMPT).read_text().startswith("<<<<<<< yours\n# Ours.\n=======\n")


def test_interrupted_upgrade_has_changed_nothing_and_can_be_repeated(
    upgrade: Callable[..., subprocess.CompletedProcess[str]], adopter: Path, tmp_path: Path
) -> None:
    stand_in = tmp_path / "git"
    real = shutil.which("git")
    stand_in.write_text(f'#!/bin/sh\ncase "$*" in "read-tree -m"*) kill -9 $PPID; exit 1 ;; esac\nexec {real} "$@"\n')
    stand_in.chmod(0o755)
    assert upgrade(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}").returncode == -9
    assert git(adopter, "status", "--porcelain") == ""
    assert upgrade().returncode == 0


def test_file_that_git_does_not_know_is_not_overwritten(
    upgrade: Callable[..., subprocess.CompletedProcess[str]], adopter: Path
) -> None:
    (adopter / "src/lambda_loop/new.py").write_text("mine")
    done = upgrade()
    assert done.returncode == 1
    assert "src/lambda_loop/new.py" in done.stderr
    assert "Nothing was changed" in done.stderr
    assert (adopter / "src/lambda_loop/new.py").read_text() == "mine"
    assert git(adopter, "status", "--porcelain", "--untracked-files=no") == ""


def test_file_of_the_adopters_where_the_release_brings_one_is_a_conflict(
    upgrade: Callable[..., subprocess.CompletedProcess[str]], adopter: Path
) -> None:
    (adopter / "src/lambda_loop/new.py").write_text("mine")
    commit(adopter)
    done = upgrade()
    assert done.returncode == 1
    assert "src/lambda_loop/new.py is yours, and the release brings a file of the library's there" in done.stdout
    assert git(adopter, "diff", "--name-only", "--diff-filter=U") == "src/lambda_loop/new.py"
    assert (adopter / "src/lambda_loop/new.py").read_text() == "mine"


def no_repository(folder: Path) -> None:
    shutil.rmtree(folder / ".git")


def within_another(folder: Path) -> None:
    no_repository(folder)
    git(folder.parent, "init", "-q")


def no_record(folder: Path) -> None:
    (folder / ".agency-lambda-version").unlink()
    commit(folder)


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (None, {"to": "v98.0.0"}, "v98.0.0 cannot be fetched from"),
        (None, {"to": "", "source": ""}, "say a release: TO="),
        (None, {"to": LAST}, f"this is {LAST}"),
        (None, {"source": ""}, "FROM=https://"),
        (no_record, {}, ".agency-lambda-version is missing"),
        (no_repository, {}, "no git repository"),
        (within_another, {}, "must be its top folder"),
        (lambda folder: (folder / "README.md").write_text("new"), {}, "not committed"),
    ],
)
def test_upgrade_that_cannot_be_done_is_refused(
    upgrade: Callable[..., subprocess.CompletedProcess[str]],
    adopter: Path,
    prepare: Callable[[Path], object] | None,
    arguments: dict[str, str],
    message: str,
) -> None:
    if prepare:
        prepare(adopter)
    done = upgrade(**arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("make upgrade: ")
    assert message in done.stderr
