"""Bytes of files in a folder of this machine."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from agency_lambda.errors import FilesUnavailable
from agency_lambda.files.storage import CHUNK, BytesMissing


class FolderStorage:
    def __init__(self, url: str) -> None:
        self._folder = Path(unquote(urlsplit(url).path))

    async def put(self, key: str, content: bytes) -> None:
        await _in_thread(self._write, key, content)

    async def get(self, key: str) -> bytes:
        return await _in_thread(self._path(key).read_bytes)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        file: BinaryIO = await _in_thread(open, self._path(key), "rb")
        try:
            while chunk := await _in_thread(file.read, CHUNK):
                yield chunk
        finally:
            file.close()

    async def size(self, key: str) -> int | None:
        try:
            return (await _in_thread(self._path(key).stat)).st_size
        except BytesMissing:
            return None

    async def delete(self, keys: Sequence[str]) -> None:
        await _in_thread(self._delete, keys)

    async def form(self, key: str, size: int, media_type: str, seconds: int) -> None:
        return None

    async def aclose(self) -> None: ...

    def _path(self, key: str) -> Path:
        return self._folder / key

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._path(key).unlink(missing_ok=True)
            self._path(f"{key}.part").unlink(missing_ok=True)

    def _write(self, key: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._path(f"{key}.part")
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path(key))


async def _in_thread[T](work: Callable[..., T], *arguments: Any) -> T:
    try:
        return await asyncio.to_thread(work, *arguments)
    except FileNotFoundError as error:
        raise BytesMissing("The bytes of the file are not there.") from error
    except OSError as error:
        raise FilesUnavailable("The files cannot be read or written at the moment.") from error
