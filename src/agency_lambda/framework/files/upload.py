"""Uploads folders to the provider: files to search into a vector store, the others for the code interpreter."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from openai import NotFoundError, OpenAI

from agency_lambda.framework.files import record
from agency_lambda.framework.files.record import Uploaded

PATIENCE = 300.0  # seconds until a vector store has read its files
_POLL = 0.5


class UploadError(RuntimeError):
    """A file cannot be uploaded. No record is written."""


def upload(client: OpenAI, folder: Path, say: Callable[[str], None]) -> Uploaded:
    """Upload a changed folder, or one whose vector store is gone, and write its record. say: prints a line.

    Raises:
        UploadError: a file cannot be uploaded.
    """
    # Earlier uploads stay: a deployment may use them.
    before, digest = record.read(folder), record.digest(folder)
    if before and before.sha256 == digest and _exists(client, before):
        say(f"{folder}: unchanged, {before.vector_store_id or 'no vector store'}")
        return before
    uploaded = _uploaded(client, folder, digest)
    path = record.write(folder, uploaded)
    say(f"{folder}: uploaded, {uploaded.vector_store_id or 'no vector store'} (written to {path})")
    if before and before.vector_store_id:
        say(f"  {before.vector_store_id} was used before: delete it when nothing that is deployed needs it")
    return uploaded


def _exists(client: OpenAI, uploaded: Uploaded) -> bool:
    if not uploaded.vector_store_id:
        return True
    try:
        client.vector_stores.retrieve(uploaded.vector_store_id)
    except NotFoundError:
        return False
    return True


def _uploaded(client: OpenAI, folder: Path, digest: str) -> Uploaded:
    searched, code_files = _split_by_use(folder)
    code_ids = tuple(_file_id(client, path) for path in code_files)
    if not searched:
        return Uploaded(digest, "", code_ids)
    store = client.vector_stores.create(name=folder.name, metadata={"sha256": digest})
    ids = [_file_id(client, path) for path in searched]
    for file_id in ids:
        client.vector_stores.files.create(store.id, file_id=file_id)
    _wait(client, store.id, dict(zip(ids, searched, strict=True)))
    return Uploaded(digest, store.id, code_ids)


def _split_by_use(folder: Path) -> tuple[Sequence[Path], Sequence[Path]]:
    # Files to search, and files for the code interpreter.
    from agency_swarm.agent import file_manager

    searched, code_files = [], []
    for path in record.files(folder):
        if path.suffix.lower() in file_manager.FILE_SEARCH_FILE_EXTENSIONS:
            searched.append(path)
        elif path.suffix.lower() in (
            *file_manager.CODE_INTERPRETER_FILE_EXTENSIONS,
            *file_manager.IMAGE_FILE_EXTENSIONS,
        ):
            code_files.append(path)
        else:
            raise UploadError(f"{path}: Agency Swarm takes no files of type {path.suffix!r}")
    return searched, code_files


def _file_id(client: OpenAI, path: Path) -> str:
    with path.open("rb") as file:
        return client.files.create(file=(path.name, file), purpose="assistants").id


def _wait(client: OpenAI, store: str, waiting: dict[str, Path]) -> None:
    deadline = time.monotonic() + PATIENCE
    while waiting:
        for file_id, path in list(waiting.items()):
            found = client.vector_stores.files.retrieve(file_id, vector_store_id=store)
            if found.status in ("failed", "cancelled"):
                reason = found.last_error.message if found.last_error else found.status
                raise UploadError(f"{path}: the vector store could not take it: {reason}")
            if found.status == "completed":
                del waiting[file_id]
        if waiting and time.monotonic() > deadline:
            raise UploadError(f"{next(iter(waiting.values()))}: the vector store has not read it in {PATIENCE:.0f} s")
        if waiting:
            time.sleep(_POLL)
