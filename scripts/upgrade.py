"""Take a release of the template into this repository: `make upgrade TO=v1.2.0 [FROM=URL]`; see docs/upgrade.md.

The base of the three-way merge is the release that `.agency-lambda-version` records, so no common history is needed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

RECORD = ".agency-lambda-version"  # its first line is the release, its second the URL of the template
DOCUMENTS = ("README.md", "SECURITY.md", "LICENSE")  # the adopter writes others: no conflict is made of them
TABLE, CHANGELOG = "docs/upgrade.md", "CHANGELOG.md"


class UpgradeError(Exception):
    """The upgrade was not begun; the message says why and what to do."""


@dataclass(frozen=True)
class File:
    mode: str  # as git writes it: "100644"
    blob: str  # its name in git


type Tree = Mapping[str, File | None]


@dataclass
class Upgrade:
    ours: Tree  # the adopter's
    base: Tree  # the last release's
    theirs: Tree  # the new release's
    owners: Mapping[str, str]
    changes: dict[str, File | None] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Decide about every path that a release has or had."""
        for path in sorted((self.base.keys() | self.theirs.keys()) - {RECORD}):
            new = self._library(path) if owner(path, self.owners) == "library" else self._adopters(path)
            if new != self.ours.get(path):
                self.changes[path] = new

    def _library(self, path: str) -> File | None:
        ours, base, theirs = self._three(path)
        if base is None and ours and theirs and ours != theirs:
            self.conflicts.append(path)
            self.notes.append(f"{path} is yours, and the release brings a file of the library's there: move yours")
            return ours
        if ours not in (base, theirs):
            self.notes.append(f"{path} is the library's, so your change of it is undone: git diff --cached {path}")
        return theirs

    def _adopters(self, path: str) -> File | None:
        ours, base, theirs = self._three(path)
        if theirs in (base, ours):
            return ours
        if ours == base:
            return None if theirs and self._folder_was_deleted(path) else theirs
        if ours is None:
            return None
        if theirs is None:
            self.notes.append(f"{path} is not in the release any more; yours is kept, as you have changed it")
            return ours
        return self._merged(path, ours, base, theirs)

    def _three(self, path: str) -> tuple[File | None, File | None, File | None]:
        return self.ours.get(path), self.base.get(path), self.theirs.get(path)

    def _folder_was_deleted(self, path: str) -> bool:
        """Return whether the adopter has deleted all files of a folder that this path lies in."""
        folders = [f"{parent}/" for parent in PurePosixPath(path).parents][:-1]
        return any(
            any(each.startswith(folder) for each in self.base)
            and not any(each.startswith(folder) for each in self.ours)
            for folder in folders
        )

    def _merged(self, path: str, ours: File, base: File | None, theirs: File) -> File:
        with TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("yours", "base", "release")]
            for file, version in zip(files, (ours, base, theirs), strict=True):
                file.write_bytes(git_bytes("cat-file", "blob", version.blob) if version else b"")
            labels = [part for name in ("yours", "last release", "new release") for part in ("-L", name)]
            done = subprocess.run(["git", "merge-file", "-q", "-p", *labels, *map(str, files)], capture_output=True)
        if done.returncode and path in DOCUMENTS:
            self.notes.append(f"{path}: yours is kept, as the release has changed the same lines")
            return ours
        if done.returncode:
            self.conflicts.append(path)
        if done.returncode > 127:  # binary files cannot be merged
            return ours
        blob = git("hash-object", "-w", "--stdin", stdin=done.stdout)
        return File(theirs.mode if base and ours.mode == base.mode else ours.mode, blob)


def owner(path: str, owners: Mapping[str, str]) -> str:
    """Return "library" or "adopter", by the first pattern that matches; the default is "adopter"."""
    return next((who for pattern, who in owners.items() if PurePosixPath(path).full_match(pattern)), "adopter")


def read_owners(page: str) -> dict[str, str]:
    """Return pattern -> owner, in the order of the table in docs/upgrade.md."""
    rows = re.findall(r"^\| (`.+?) \| (adopter|library) \|", page, re.MULTILINE)
    return {pattern: who for patterns, who in rows for pattern in re.findall(r"`([^`]+)`", patterns)}


def git_bytes(*arguments: str, stdin: bytes = b"", index: str = "") -> bytes:
    """Return what git prints, or raise UpgradeError with its own words. index: a file in place of .git/index."""
    environment = {**os.environ, "GIT_INDEX_FILE": index} if index else None
    done = subprocess.run(["git", *arguments], input=stdin, env=environment, capture_output=True)
    if done.returncode:
        raise UpgradeError(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def git(*arguments: str, stdin: bytes = b"", index: str = "") -> str:
    return git_bytes(*arguments, stdin=stdin, index=index).decode().rstrip("\n")


def read_tree(revision: str) -> dict[str, File | None]:
    entries = (line.partition("\t") for line in git("ls-tree", "-rz", revision).split("\0") if line)
    return {path: File(info.split()[0], info.split()[2]) for info, _, path in entries}


def fetch(source: str, release: str) -> str:
    """Return the ref of a release, fetched from source."""
    ref = f"refs/agency-lambda/{release}"  # not among the adopter's own tags
    try:
        git("fetch", "-q", "--no-tags", "--", source, f"+refs/tags/{release}:{ref}")
    except UpgradeError as error:
        raise UpgradeError(f"the release {release} cannot be fetched from {source}: {error}") from None
    return ref


def stage(upgrade: Upgrade) -> None:
    """Write the result into index and folder in one step, and mark conflicts as `git merge` does."""
    with TemporaryDirectory() as folder:
        index = str(Path(folder, "index"))
        git("read-tree", "HEAD", index=index)
        git("update-index", "-z", "--index-info", stdin=_entries(upgrade.changes, "0"), index=index)
        tree = git("write-tree", index=index)
    try:
        git("read-tree", "-m", "-u", "HEAD", tree)
    except UpgradeError as error:
        raise UpgradeError(f"{error}\nNothing was changed. Move or commit such files, then again.") from None
    for path in upgrade.conflicts:
        stages = {"1": upgrade.base, "2": upgrade.ours, "3": upgrade.theirs}
        versions = b"".join(_entries({path: tree[path]}, number) for number, tree in stages.items() if tree.get(path))
        git("update-index", "-z", "--index-info", stdin=_entries({path: None}, "0") + versions)


def _entries(files: Tree, number: str) -> bytes:
    lines = [
        f"{file.mode} {file.blob} {number}\t{path}" if file else f"0 {'0' * 40} 0\t{path}"
        for path, file in files.items()
    ]
    return "".join(f"{line}\0" for line in lines).encode()


def what_to_do(changelog: str, last: str) -> list[str]:
    """Return the sections "To do" of the versions after `last`."""
    newer = re.split(rf"^## {re.escape(last.removeprefix('v'))}\b", changelog, maxsplit=1, flags=re.MULTILINE)[0]
    parts = re.findall(r"^### To do\n+(.*?)(?=^##|\Z)", newer, re.MULTILINE | re.DOTALL)
    return [part.strip() for part in parts]


def read_record(source: str) -> tuple[str, str]:
    """Return the recorded release, and where to fetch from."""
    lines = Path(RECORD).read_text().split() if Path(RECORD).exists() else []
    if not lines:
        raise UpgradeError(f"{RECORD} is missing: write the release into it that this repository was copied from")
    if not source and len(lines) < 2:
        raise UpgradeError(f"say where the template is: FROM=https://... (then it is recorded in {RECORD})")
    return lines[0], source or lines[1]


def check_repository() -> None:
    """Raise UpgradeError where something could be lost."""
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if not top.returncode and Path(top.stdout.strip()).resolve() != Path.cwd().resolve():
        raise UpgradeError(f"the repository begins at {top.stdout.strip()}: the template must be its top folder")
    if top.returncode:
        raise UpgradeError("this folder is no git repository: git init, git add -A, git commit; then again")
    if git("status", "--porcelain", "--untracked-files=no"):
        raise UpgradeError(
            "there are changes that are not committed: commit them first. To undo an upgrade that was interrupted or "
            "that you do not want: git reset --hard"
        )


def main(release: str, source: str) -> int:
    """Upgrade the repository in this folder. Returns 1 where there are conflicts."""
    check_repository()
    if not release:
        raise UpgradeError("say a release: TO=v1.2.0")
    last, source = read_record(source)
    if release == last:
        raise UpgradeError(f"this is {last}: say another release, TO=v1.2.0")
    refs = [fetch(source, each) for each in (last, release)]
    tables = [read_owners(git("show", f"{ref}:{TABLE}")) for ref in refs]
    owners = tables[1] | {pattern: who for pattern, who in tables[0].items() if pattern not in tables[1]}
    upgrade = Upgrade(read_tree("HEAD"), read_tree(refs[0]), read_tree(refs[1]), owners)
    upgrade.run()
    record = f"{release}\n{source}\n".encode()
    upgrade.changes[RECORD] = File("100644", git("hash-object", "-w", "--stdin", stdin=record))
    stage(upgrade)
    report(upgrade, last, release)
    return 1 if upgrade.conflicts else 0


def report(upgrade: Upgrade, last: str, release: str) -> None:
    print(f"{last} -> {release}: {len(upgrade.changes)} files are staged. To undo it: git reset --hard")
    for note in upgrade.notes:
        print(f"- {note}")
    for path in upgrade.conflicts:
        print(f"CONFLICT in {path}: edit it, then git add {path}")
    for part in what_to_do(git("show", f"refs/agency-lambda/{release}:{CHANGELOG}"), last):
        print(part)
    packages = Path("agents/requirements.in")
    lock = packages.exists() and re.search(r"^\w", packages.read_text(), re.MULTILINE)
    print(f"Next: {'make lock; ' if lock else ''}make check test; git add -A; git commit")


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:3]))
    except UpgradeError as error:
        sys.exit(f"make upgrade: {error}")
