"""Reads and writes `NAME.uploaded.json` beside a folder NAME: the ids of its files at the provider."""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

_STORE = re.compile(r"(.+)_(vs_[a-zA-Z0-9]{15,})")
_FILE = re.compile(r"_(file-[A-Za-z0-9]{15,})$")


@dataclass(frozen=True)
class Uploaded:
    """A record. sha256: of names and contents. vector_store_id: "" without searchable files."""

    sha256: str
    vector_store_id: str
    code_interpreter_file_ids: tuple[str, ...]


def find(folder: Path) -> Uploaded | None:
    """Return the record of a folder, or None if the folder is absent or empty.

    Raises:
        LookupError: it was not uploaded, or has changed since. The text says what to do.
    """
    uploaded = read(folder)
    if uploaded and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        return uploaded  # the bundle leaves some files out; it was checked when it was made
    named = named_by_framework(folder)
    if named:
        return _read_names(named)
    if folder.is_file():
        raise LookupError(f"{folder} is not a folder.")
    if not folder.exists() or not files(folder):  # git keeps no empty folder; the framework accepts a missing one
        return None
    if uploaded is None:
        raise LookupError(f"{folder} was not uploaded yet: run `make files`.")
    if uploaded.sha256 != digest(folder):
        raise LookupError(f"{folder} has changed since it was uploaded: run `make files`.")
    return uploaded


def named_by_framework(folder: Path) -> Path | None:
    """Return the folder, which the framework may have renamed after its vector store, or None."""
    if folder.is_dir():
        return folder if _STORE.fullmatch(folder.name) else None
    beside = sorted(each for each in folder.parent.glob(f"{folder.name}_vs_*") if each.is_dir())
    return next((each for each in beside if _STORE.fullmatch(each.name)), None)


def files(folder: Path) -> list[Path]:
    """Return the files that the framework uploads, sorted."""
    if not folder.exists():
        return []
    return sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith((".", "__")))


def read(folder: Path) -> Uploaded | None:
    """Return the record without comparing it with the files."""
    path = _record_path(folder)
    if not path.exists():
        return None
    fields = json.loads(path.read_text())
    return Uploaded(fields["sha256"], fields["vector_store_id"], tuple(fields["code_interpreter_file_ids"]))


def write(folder: Path, uploaded: Uploaded) -> Path:
    """Write the record and return its path."""
    path = _record_path(folder)
    path.write_text(json.dumps(asdict(uploaded), indent=2) + "\n")
    _digest.cache_clear()
    return path


def digest(folder: Path) -> str:
    """Return the sha256 of the files, cached by size and modification time."""
    state = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files(folder))
    return _digest(folder, state)


@cache
def _digest(folder: Path, state: tuple[tuple[str, int, int], ...]) -> str:
    combined = hashlib.sha256()
    for name, *_ in state:
        content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        combined.update(f"{name}\0{content}\0".encode())
    return combined.hexdigest()


def _record_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.uploaded.json")


def _read_names(folder: Path) -> Uploaded:
    # The framework has put ids into the names of the folder and its files.
    from agency_swarm.agent.file_manager import CODE_INTERPRETER_FILE_EXTENSIONS, IMAGE_FILE_EXTENSIONS

    store, code_files = _STORE.fullmatch(folder.name), []
    for path in files(folder):
        found = _FILE.search(path.stem)
        if found is None:
            original = store.group(1) if store else folder.name
            raise LookupError(f"{path} was not uploaded: rename the folder to {original!r} and run `make files`.")
        if path.suffix.lower() in (*CODE_INTERPRETER_FILE_EXTENSIONS, *IMAGE_FILE_EXTENSIONS):
            code_files.append(found.group(1))
    return Uploaded("", store.group(2) if store else "", tuple(code_files))
