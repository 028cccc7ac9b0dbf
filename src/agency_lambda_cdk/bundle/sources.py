"""The files of this checkout that go into the bundle: `handler/`, the packages of `src/`, and what is IN `agents/`."""

import hashlib
import shutil
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from agency_lambda_cdk.bundle.left_out import NEVER

ROOT = Path(__file__).parents[3]
AGENTS = ROOT / "agents"
OFFLINE_MODEL = Path("agency_lambda", "offline")
TESTING = Path("agency_lambda", "testing")

OURS = ("handler", "src/agency_lambda", "src/deferred_imports", "src/lambda_loop", "src/idempotency.py")
#: folder -> what its files are relative to in the bundle
_FOLDERS = {"handler": "."} | dict.fromkeys(OURS[1:], "src")


#: The packages that are installed: the service's in ROOT, and in the agencies' folder, where it has them, its own.
REQUIREMENTS = ("requirements.in", "requirements.txt")


class BundleError(RuntimeError):
    """The bundle cannot be built, or Lambda would refuse it."""


@dataclass(frozen=True)
class Sources:
    """Select what is bundled: the folder with the agencies, and whether the offline model is in it."""

    agents: Path = AGENTS
    offline_model: bool = True

    def files(self) -> dict[Path, Path]:
        """Return path in the bundle -> file."""
        tops = {ROOT / folder: ROOT / base for folder, base in _FOLDERS.items()} | {self.agents: self.agents}
        found = {}
        for top, base in tops.items():
            for path in [top] if top.is_file() else sorted(top.rglob("*", recurse_symlinks=True)):
                inside = path.relative_to(base)
                if path.is_file() and self._is_shipped(inside):
                    found[inside] = path
        return found

    def requirements(self) -> dict[Path, str]:
        """Return file -> text of both requirements.in and both requirements.txt, in this order."""
        paths = [folder / name for name in REQUIREMENTS for folder in (ROOT, self.agents)]
        return {path: path.read_text() if path.exists() else "" for path in paths}

    def copy_into(self, bundle: Path) -> None:
        """Copy `files` to the installed packages. Raises BundleError if an agency has the name of one."""
        taken = names(bundle) | sys.stdlib_module_names | {Path(folder).name for folder in OURS}
        for inside, path in self.files().items():
            top = inside.parts[0]
            if path.is_relative_to(self.agents) and top.removesuffix(".py") in taken:
                raise BundleError(f"{self.agents.name}/{top} has the name of an installed package: rename it")
            (bundle / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, bundle / inside)

    def digest(self, architecture: str) -> str:
        """Return the sha256 of everything that the bundle is made from."""
        digest = hashlib.sha256(architecture.encode())
        tools = {Path(path.name): path for path in sorted(Path(__file__).parent.glob("*.py"))}
        for text in self.requirements().values():
            digest.update(f"{len(text)}\0{text}".encode())
        for inside, path in (*tools.items(), *self.files().items()):
            content = path.read_bytes()
            digest.update(f"{inside}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def _is_shipped(self, inside: Path) -> bool:
        if str(inside) in REQUIREMENTS or inside.is_relative_to(TESTING):
            return False
        if not self.offline_model and inside.is_relative_to(OFFLINE_MODEL):
            return False
        return not any(fnmatchcase(part, never) for part in inside.parts for never in NEVER)


def names(bundle: Path) -> set[str]:
    """Return what can be imported from it: `x/`, `x.py`, `x.cpython-313-aarch64-linux-gnu.so`."""
    return {path.name.partition(".")[0] for path in bundle.iterdir() if path.suffix != ".dist-info"}
