"""What is known of a folder's files at the provider: `NAME.uploaded.json` beside the folder NAME.

It belongs into version control and into the bundle. `sha256` is of the files' names and contents: another content needs
another upload.
"""

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
    """sha256: of the folder. vector_store_id: "" where no file of the folder can be searched."""

    sha256: str
    vector_store_id: str
    code_interpreter_file_ids: tuple[str, ...]


def find(folder: Path) -> Uploaded | None:
    """Return what was uploaded of a folder; None where it is not there or holds no file.

    A folder that Agency Swarm itself has uploaded has the ids in its own name and in its files'.

    Raises:
        LookupError: it is a file, was not uploaded, or has changed since. The text says what to do.
    """
    uploaded = read(folder)
    if uploaded and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        return uploaded  # it was compared when the bundle was made, which leaves some files out
    place = named_by_framework(folder)
    if place:
        return _of_names(place)
    if folder.is_file():
        raise LookupError(f"{folder} is not a folder.")
    if not folder.exists() or not files(folder):  # no empty folder is kept by git; the framework does without, too
        return None
    if uploaded is None:
        raise LookupError(f"{folder} was not uploaded yet: run `make files`.")
    if uploaded.sha256 != digest(folder):
        raise LookupError(f"{folder} has changed since it was uploaded: run `make files`.")
    return uploaded


def named_by_framework(folder: Path) -> Path | None:
    """Return the folder, or the one that it has become, if the framework has put a vector store's id into its name."""
    if folder.is_dir():
        return folder if _STORE.fullmatch(folder.name) else None
    beside = sorted(each for each in folder.parent.glob(f"{folder.name}_vs_*") if each.is_dir())
    return next((each for each in beside if _STORE.fullmatch(each.name)), None)


def files(folder: Path) -> list[Path]:
    """Return the files that count, in order: the framework takes no hidden ones and no folders."""
    if not folder.exists():
        return []
    return sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith((".", "__")))


def read(folder: Path) -> Uploaded | None:
    """Return the record beside a folder, whatever the folder holds now."""
    path = _beside(folder)
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    return Uploaded(kept["sha256"], kept["vector_store_id"], tuple(kept["code_interpreter_file_ids"]))


def write(folder: Path, uploaded: Uploaded) -> Path:
    """Write the record beside the folder; returns where it is."""
    path = _beside(folder)
    path.write_text(json.dumps(asdict(uploaded), indent=2) + "\n")
    _digest.cache_clear()
    return path


def digest(folder: Path) -> str:
    """Return the sha256 of a folder's files, read once as long as none of them is another size or age."""
    state = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files(folder))
    return _digest(folder, state)


@cache
def _digest(folder: Path, state: tuple[tuple[str, int, int], ...]) -> str:
    whole = hashlib.sha256()
    for name, *_ in state:
        content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        whole.update(f"{name}\0{content}\0".encode())
    return whole.hexdigest()


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.uploaded.json")


def _of_names(folder: Path) -> Uploaded:
    """Read the ids that the framework has put into the names; files for the code interpreter are in no store."""
    from agency_swarm.agent.file_manager import CODE_INTERPRETER_FILE_EXTENSIONS, IMAGE_FILE_EXTENSIONS

    store, programs = _STORE.fullmatch(folder.name), []
    for path in files(folder):
        found = _FILE.search(path.stem)
        if found is None:
            instead = store.group(1) if store else folder.name
            raise LookupError(f"{path} was not uploaded: rename the folder to {instead!r} and run `make files`.")
        if path.suffix.lower() in (*CODE_INTERPRETER_FILE_EXTENSIONS, *IMAGE_FILE_EXTENSIONS):
            programs.append(found.group(1))
    return Uploaded("", store.group(2) if store else "", tuple(programs))
