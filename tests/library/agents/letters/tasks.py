"""Tasks as files in LETTERS_FOLDER, one each: every process of a run sees them."""

import json
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import Any


def refuse_unusable_folder() -> None:
    """Raise NotADirectoryError where LETTERS_FOLDER is a file. Makes nothing."""
    if (path := os.environ.get("LETTERS_FOLDER")) and Path(path).exists() and not Path(path).is_dir():
        raise NotADirectoryError(f"LETTERS_FOLDER is {path}, which is no folder")


def folder() -> Path:
    """Return the folder, which is made by the first tool that needs it."""
    path = Path(os.environ.get("LETTERS_FOLDER") or Path(tempfile.gettempdir(), "letters"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def create(name: str, description: str, parent_id: int | None) -> int:
    """Return the id: the lowest that no other process has taken."""
    for number in count(1):
        try:
            with (folder() / f"{number}.json").open("x") as file:
                json.dump({"id": number, "name": name, "description": description, "parent_id": parent_id}, file)
            return number
        except FileExistsError:
            continue
    raise AssertionError


def get(task_id: int) -> dict[str, Any]:
    """Raises LookupError if there is no such task."""
    try:
        task: dict[str, Any] = json.loads((folder() / f"{task_id}.json").read_text())
    except (FileNotFoundError, ValueError):
        raise LookupError(f"Task {task_id} does not exist") from None
    return task


def every() -> list[dict[str, Any]]:
    """Return all tasks by their ids; one that is being written is left out."""
    numbers = sorted(int(path.stem) for path in folder().glob("*.json"))
    return [task for number in numbers if (task := _readable(number))]


def update(task_id: int, **changes: str | None) -> None:
    """Write the changes that are not None."""
    task = get(task_id) | {key: value for key, value in changes.items() if value is not None}
    new = folder() / f".{task_id}.{os.getpid()}"
    new.write_text(json.dumps(task))
    new.rename(folder() / f"{task_id}.json")


def _readable(number: int) -> dict[str, Any] | None:
    try:
        return get(number)
    except LookupError:
        return None
