"""`save_file`: a tool gives its caller a file."""

import asyncio
import os
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agency_lambda.framework.context import RunContext, container_of, current_run
from agency_lambda.framework.tool_call import ToolCall, current_tool_call
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.journal_keys import Row

_OUTSIDE = "save_file gives a file to the caller of a run: call it in a tool of one"
_NOT_AWAITED = "write `await save_file(...)` in asynchronous code"
_UNNAMED = "bytes have no name: write save_file(content, name)"


@dataclass(frozen=True)
class SavedFile:
    """A file of the caller: its id in /v1/files, its cleaned name, bytes and type."""

    id: str
    name: str
    size: int
    media_type: str

    def __await__(self) -> Generator[Any, Any, "SavedFile"]:
        yield from ()
        return self


class _Saving:
    """What asynchronous code awaits."""

    def __init__(self, work: Coroutine[Any, Any, SavedFile], loop: asyncio.AbstractEventLoop) -> None:
        self._work, self._loop = work, loop

    def __await__(self) -> Generator[Any, Any, SavedFile]:
        if self._loop is asyncio.get_running_loop():
            return self._work.__await__()
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._work, self._loop)).__await__()

    def __getattr__(self, name: str) -> Any:
        self._work.close()
        raise RuntimeError(_NOT_AWAITED)


def save_file(content: bytes | str | os.PathLike[str], name: str | None = None, type: str | None = None) -> SavedFile:
    """Store a file for 30 days as one of the caller's, and cite it in the agent's next message to the user.

    content: bytes, or the path of a file. name: the path's, by default. type: for content without a type of its own.
    Asynchronous code awaits it. A later attempt at the run gets the same file.

    Raises:
        RuntimeError: outside of a tool of a run.
        ServiceError: it is too large, the caller has too many, or it cannot be stored now.
    """
    run, call = current_run(), current_tool_call.get()
    if run is None or call is None:
        raise RuntimeError(_OUTSIDE)
    if isinstance(content, bytes) and not name:
        raise ValueError(_UNNAMED)
    name = name or Path(cast(str, content)).name
    work = _save(run, call, call.next_number("save_file"), content, name, type)
    if asyncio._get_running_loop() is not None:
        return cast(SavedFile, _Saving(work, call.loop))
    return asyncio.run_coroutine_threadsafe(work, call.loop).result()


async def _save(
    run: RunContext, call: ToolCall, number: int, content: Any, name: str, media_type: str | None
) -> SavedFile:
    await run.authorize()
    key = Row.FILE.key(call.key, number)
    if (row := run.journal.find_row(key)) is None:
        row = await run.journal.add_row(key, {"id": new_id("file"), "name": name, "attempt": run.journal.attempt})
    read = content if isinstance(content, bytes) else await asyncio.to_thread(_read, content)
    container = container_of(run.response_id)
    file = await run.files.save(row["id"], row["name"], read, media_type, container)
    run.builder.add_file(file.id, file.name, file.container)
    return SavedFile(file.id, file.name, file.size, file.media_type)


def _read(path: str | os.PathLike[str]) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(bounds.FILE + 1)  # which is refused
