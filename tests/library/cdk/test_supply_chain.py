"""How what is downloaded gets in, and how far: by hash, by commit, and never near the token that deploys."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from agency_lambda_cdk.bundle import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
INSTALLERS = re.compile(r"\b(npm|npx|pip|uv|make|curl|wget|yarn|pnpm|apt|apt-get|git)\b")
CDK = ROOT / "node_modules" / "aws-cdk"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


if not (ROOT / ".github" / "workflows" / "deploy.yml").exists():
    pytest.skip("this copy deploys in another way", allow_module_level=True)
DEPLOY = read(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"]
JOBS = [(f"{path.name}: {name}", job) for path in WORKFLOWS for name, job in read(path)["jobs"].items()]


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(job.get("steps", ()))


# The token


def test_only_the_job_that_deploys_has_a_token() -> None:
    may = [name for name, job in JOBS if "write" in json.dumps(job.get("permissions", {}))]
    assert may == ["deploy.yml: deploy"]
    assert DEPLOY["deploy"]["permissions"] == {"id-token": "write"}
    for path in WORKFLOWS:
        assert read(path)["permissions"] == {"contents": "read"}  # of every job that says nothing


def test_the_job_with_the_token_installs_nothing_and_reads_no_repository() -> None:
    uses = [step["uses"].partition("@")[0] for step in steps(DEPLOY["deploy"]) if "uses" in step]
    assert uses == ["actions/download-artifact", "aws-actions/configure-aws-credentials"]
    commands = "\n".join(step["run"] for step in steps(DEPLOY["deploy"]) if "run" in step)
    assert not INSTALLERS.findall(commands)
    assert set(DEPLOY["deploy"]["needs"]) == {"tools", "build"}
    assert {DEPLOY["tools"]["needs"], DEPLOY["build"]["needs"]} == {"check"}


def test_credentials_come_last() -> None:
    kinds = [next(iter(step.keys() & {"uses", "run"})) for step in steps(DEPLOY["deploy"])]
    assert kinds == ["uses", "run", "uses", "run"]
    assert "configure-aws-credentials" in steps(DEPLOY["deploy"])[2]["uses"]


def test_where_the_deploying_program_is_downloaded_nothing_else_has_run() -> None:
    commands = [step["run"] for step in steps(DEPLOY["tools"]) if "run" in step]
    assert commands[0] == "npm ci"
    assert all(line.startswith(("tar -czf", "echo ")) for line in commands[1].splitlines())
    assert [step["uses"].partition("@")[0] for step in steps(DEPLOY["tools"]) if "uses" in step] == [
        "actions/checkout",
        "actions/upload-artifact",
    ]


def test_no_expression_is_pasted_into_a_command() -> None:
    for name, job in JOBS:
        for step in steps(job):
            assert "${{" not in step.get("run", ""), name


@pytest.mark.parametrize(("name", "job"), JOBS, ids=[name for name, _ in JOBS])
def test_actions_are_pinned_by_commit(name: str, job: dict[str, Any]) -> None:
    for step in steps(job):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
    assert steps(job) or job["uses"].startswith("./")


# What is handed over


def command(job: str, number: int) -> str:
    return str([step["run"] for step in steps(DEPLOY[job]) if "run" in step][number])


class Handed:
    """The jobs' own commands, in a folder for each job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for job in ("tools", "build", "deploy"):
            (folder / job).mkdir()
        (folder / "tools" / "node_modules" / "aws-cdk" / "bin").mkdir(parents=True)
        (folder / "tools" / "node_modules" / "aws-cdk" / "bin" / "cdk").write_text("the program")
        (folder / "build" / "cdk.out").mkdir()
        (folder / "build" / "cdk.out" / "manifest.json").write_text("{}")

    def pack(self) -> dict[str, str]:
        """The artifacts, in the folder of the job `deploy`; returns the digests that go beside them."""
        digests = {}
        for job, name, archive in (("tools", "TOOLS", "tools.tar.gz"), ("build", "ASSEMBLY", "assembly.tar.gz")):
            output = self.folder / f"{job}.output"
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command(job, 1)],
                cwd=self.folder / job,
                env={**os.environ, "GITHUB_OUTPUT": str(output)},
                check=True,
            )
            digests[name] = output.read_text().strip().removeprefix("sha256=")
            shutil.copy(self.folder / job / archive, self.folder / "deploy")
        return digests

    def unpack(self, digests: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command("deploy", 0)],
            cwd=self.folder / "deploy",
            env={"PATH": os.environ["PATH"], **digests},
            capture_output=True,
            text=True,
        )


def test_what_was_built_arrives(tmp_path: Path) -> None:
    handed = Handed(tmp_path)
    assert handed.unpack(handed.pack()).returncode == 0
    assert (tmp_path / "deploy" / "node_modules" / "aws-cdk" / "bin" / "cdk").read_text() == "the program"
    assert (tmp_path / "deploy" / "cdk.out" / "manifest.json").exists()


@pytest.mark.parametrize("archive", ["tools.tar.gz", "assembly.tar.gz"])
def test_what_was_changed_on_its_way_is_refused(tmp_path: Path, archive: str) -> None:
    handed = Handed(tmp_path)
    digests = handed.pack()
    with tarfile.open(tmp_path / "deploy" / archive, "w:gz"):
        pass
    assert handed.unpack(digests).returncode != 0
    assert not (tmp_path / "deploy" / "cdk.out").exists()


def test_an_assembly_cannot_bring_the_program_that_deploys(tmp_path: Path) -> None:
    handed = Handed(tmp_path)
    cdk = tmp_path / "build" / "cdk.out" / ".." / "node_modules" / "aws-cdk"
    cdk.mkdir(parents=True)
    (cdk / "cdk").write_text("another")
    assert handed.unpack(handed.pack()).returncode == 0
    assert not (tmp_path / "deploy" / "node_modules" / "aws-cdk" / "cdk").exists()


def test_an_assembly_that_names_a_program_to_run_is_refused(tmp_path: Path) -> None:
    """The CDK's command line would run it, to make an asset: beside the token."""
    handed = Handed(tmp_path)
    asset = {"files": {"a": {"source": {"executable": ["sh", "-c", "true"]}}}}
    (tmp_path / "build" / "cdk.out" / "x.assets.json").write_text(json.dumps(asset))
    assert handed.unpack(handed.pack()).returncode != 0


@pytest.mark.skipif(shutil.which("node") is None or not CDK.exists(), reason="needs Node and `make synth` once")
def test_the_command_line_works_alone_on_an_assembly(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "aws-cdk").symlink_to(CDK.resolve())
    (tmp_path / "cdk.out").mkdir()
    stack = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region"}
    manifest = {"version": "40.0.0", "artifacts": {"mine": {**stack, "properties": {"templateFile": "mine.json"}}}}
    (tmp_path / "cdk.out" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "cdk.out" / "mine.json").write_text("{}")
    program, separator, options = command("deploy", 1).partition(" deploy ")
    assert (program, separator, options) == (
        "node node_modules/aws-cdk/bin/cdk",
        " deploy ",
        "--all --app cdk.out --require-approval never",
    )
    listing = [*program.split(), "list", "--app", "cdk.out", "--no-notices"]
    listed = subprocess.run(listing, cwd=tmp_path, capture_output=True, text=True)
    assert listed.stdout.split() == ["mine"], listed.stderr
    assert not json.loads((CDK / "package.json").read_text()).get("dependencies")


# Hashes


def test_the_lock_file_of_npm_has_hashes_and_no_address() -> None:
    lock, wanted = (json.loads((ROOT / name).read_text()) for name in ("package-lock.json", "package.json"))
    packages = {path: each for path, each in lock["packages"].items() if path}
    assert packages
    for path, each in packages.items():
        assert each["integrity"].startswith("sha512-"), path
        assert "resolved" not in each
        # esbuild's would only make its start faster: .npmrc leaves it out.
        assert not each.get("hasInstallScript") or path == "node_modules/esbuild"
    assert lock["packages"][""]["devDependencies"] == wanted["devDependencies"]
    for name, version in wanted["devDependencies"].items():
        assert packages[f"node_modules/{name}"]["version"] == version
    settings = (ROOT / ".npmrc").read_text().splitlines()
    assert {"omit-lockfile-registry-resolved=true", "ignore-scripts=true"} <= set(settings)
    assert not [line for line in settings if "registry=" in line or "//" in line]


def commands() -> list[tuple[str, str]]:
    """Every line of what installs something, with its file."""
    files = [ROOT / "Makefile", ROOT / "scripts" / "setup", ROOT / ".ci" / "run", *WORKFLOWS]
    return [(path.name, line.strip()) for path in files for line in path.read_text().splitlines()]


def test_nothing_is_installed_but_by_hash() -> None:
    npm = [line for _, line in commands() if re.search(r"\bnpm (install|i|ci|exec)\b|\bnpx\b", line)]
    assert {line.lstrip("@- ").removeprefix("run: ").partition("  ")[0].split(" #")[0] for line in npm} <= {
        "npm ci",
        "npm ci --silent",
        "npm install --package-lock-only --silent",
    }
    pip = [(name, line) for name, line in commands() if re.search(r"\bpip install\b", line)]
    assert len(pip) >= 2
    for name, line in pip:
        assert "--require-hashes" in line, (name, line)


@pytest.mark.parametrize("source", [*sorted(ROOT.glob("requirements*.in")), ROOT / "agents/requirements.in"], ids=str)
def test_every_requirement_is_compiled_with_hashes(source: Path) -> None:
    if source.name == "requirements-overrides.in":
        return  # an input of another one
    lines = source.with_suffix(".txt").read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert pinned or source.parent.name == "agents"
    for line in pinned:
        following = lines[lines.index(line) + 1]
        assert following.strip().startswith("--hash=sha256:"), line
    for wanted in (line.partition("#")[0].strip() for line in source.read_text().splitlines()):
        if "==" in wanted:
            name = re.sub(r"\[.*\]", "", wanted).lower().replace("_", "-")
            assert [line for line in pinned if re.sub(r"\[.*\]", "", line).startswith(f"{name} ")], name


def test_what_is_pinned_is_looked_after() -> None:
    updates = read(ROOT / ".github" / "dependabot.yml")["updates"]
    assert {each["package-ecosystem"] for each in updates} == {"pip", "npm", "github-actions"}
    assert {each["schedule"]["interval"] for each in updates} == {"weekly"}
    assert {folder for each in updates for folder in each["directories"]} == {"/", "/agents"}
