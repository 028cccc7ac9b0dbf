"""Uploads: files that come in parts, or straight into S3 by a form."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from agency_lambda.errors import FileQuotaExceeded, FilesUnavailable, InvalidRequest, NotFound, StoreUnavailable
from agency_lambda.files.media_types import OCTETS, clean_name, media_type_of
from agency_lambda.files.model import (
    MOST_PARTS,
    UPLOAD_SECONDS,
    StoredFile,
    check_size,
    form_key,
    part_key,
    pending_partition,
)
from agency_lambda.files.service import Files, new_file
from agency_lambda.files.storage import BytesMissing
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import is_file_id
from agency_lambda.store import ABSENT, Conflict, Delete, Put, Record

_PREFIX = "upload_"
_TRIES = 8  # to complete an upload by a form: one that dies leaves its part


class Uploads:
    """The uploads of one owner, each a pending file."""

    def __init__(self, files: Files, owner: str) -> None:
        self._files, self._owner = files, owner

    async def create(self, name: str, size: int, media_type: str, purpose: str, seconds: int | None) -> dict[str, Any]:
        """Return the upload, with the form that takes its bytes where there is one. Raises FileQuotaExceeded."""
        check_size(size, "bytes")
        file = new_file(self._owner, clean_name(name), size, media_type, purpose, seconds or bounds.FILE_SECONDS)
        file = await self._files.reserve(replace(file, parts=True))
        form = await self._files.storage.form(form_key(file.id), size, media_type or OCTETS, UPLOAD_SECONDS)
        return resource(file, "pending", {"presigned_post": form} if form else {})

    async def add_part(self, upload_id: str, content: bytes) -> dict[str, Any]:
        """Store the next part. Raises NotFound, InvalidRequest."""
        file = await self._pending(upload_id)
        number = await self._add(file, content, most=file.size)
        return {
            "id": _part_id(file, number),
            "object": "upload.part",
            "created_at": int(time.time()),
            "upload_id": upload_id,
        }

    async def _add(self, file: StoredFile, content: bytes, most: int) -> int:
        while True:
            parts = await self._parts(file)
            if sum(part.body["size"] for part in parts) + len(content) > most:
                raise InvalidRequest(f"The parts have more than the {file.size:,} bytes of the upload.", param="data")
            number = 1 + max((_number(part) for part in parts), default=-1)
            if number == MOST_PARTS:
                raise FileQuotaExceeded(f"An upload has {MOST_PARTS} parts at most.", param="data")
            expires = file.created_at + 2 * UPLOAD_SECONDS
            row = Put(self._partition, _part_row(file, number), {"size": len(content)}, expires, expected=ABSENT)
            try:
                await self._files.store.write(row)
            except Conflict:  # another part of it came at the same time
                continue
            await self._store_part(file, number, content, row)
            return number

    async def _store_part(self, file: StoredFile, number: int, content: bytes, row: Put) -> None:
        try:
            await self._files.storage.put(part_key(file.id, number), content)
        except FilesUnavailable:
            with suppress(StoreUnavailable):  # its client sends it again
                await self._files.store.write(Delete(row.partition, row.sort))
            raise

    async def complete(self, upload_id: str, part_ids: Sequence[str], md5: str | None) -> dict[str, Any]:
        """Make a file of the parts, or without any of what the form has stored. Raises NotFound, InvalidRequest."""
        try:
            file = await self._pending(upload_id)
        except NotFound:
            done = await self._files.get(self._owner, _file_id(upload_id), "upload_id")
            return resource(done, "completed", {"file": done.resource})  # the answer of the first request was lost
        numbers = await self._numbers(file, part_ids)
        async with self._files.completing:
            done = await self._completed(file, numbers, md5)
        return resource(done, "completed", {"file": done.resource})

    async def _completed(self, file: StoredFile, numbers: list[int], md5: str | None) -> StoredFile:
        keys = [part_key(file.id, number) for number in numbers] or [form_key(file.id)]
        content = b"".join([await self._bytes(key) for key in keys])
        checked = await asyncio.to_thread(_checked, file, content, md5)
        # The form may store other bytes meanwhile: those that were checked become a part.
        numbers = numbers or [await self._add(file, content, most=_TRIES * file.size)]
        try:
            return await self._files.commit(replace(checked, numbers=tuple(numbers)))
        except FilesUnavailable:
            await self._pending(_upload_id(file))  # NotFound if it was cancelled
            raise

    async def cancel(self, upload_id: str) -> dict[str, Any]:
        file = await self._pending(upload_id)
        await self._files.drop(file)
        return resource(file, "cancelled")

    async def _numbers(self, file: StoredFile, part_ids: Sequence[str]) -> list[int]:
        known = {_part_id(file, _number(part)): part for part in await self._parts(file)}
        for place, part_id in enumerate(part_ids):
            if part_id not in known or part_id in part_ids[:place]:
                raise InvalidRequest(f"There is no part {part_id[:99]!r}.", param=f"part_ids[{place}]")
        named = [known[part_id] for part_id in part_ids]
        if named:
            _check_whole(file, sum(part.body["size"] for part in named))
        return [_number(part) for part in named]

    async def _bytes(self, key: str) -> bytes:
        try:
            return await self._files.storage.get(key)
        except BytesMissing:
            raise InvalidRequest("Some bytes of the upload are not there yet.", param="part_ids") from None

    async def _pending(self, upload_id: str) -> StoredFile:
        file_id = _file_id(upload_id)
        file = await self._files.pending(self._owner, file_id) if is_file_id(file_id) else None
        if file is None or not file.parts or file.is_late:
            raise NotFound(f"Upload with id {upload_id[:99]!r} not found.")
        return file

    async def _parts(self, file: StoredFile) -> list[Record]:
        return await self._files.store.query(self._partition, after=f"{file.id}/", before=f"{file.id}0")

    @property
    def _partition(self) -> str:
        return pending_partition(self._owner)


def _check_whole(file: StoredFile, size: int) -> None:
    if size != file.size:
        raise InvalidRequest(f"There are {size:,} of the upload's {file.size:,} bytes.", param="part_ids")


def _checked(file: StoredFile, content: bytes, md5: str | None) -> StoredFile:
    _check_whole(file, len(content))
    if md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.lower():
        raise InvalidRequest("The bytes have another checksum.", param="md5")
    return replace(file, media_type=media_type_of(file.name, content))


def _part_row(file: StoredFile, number: int) -> str:
    return f"{file.id}/{number:03d}"


def _part_id(file: StoredFile, number: int) -> str:
    return f"part_{file.id.removeprefix('file-')}{number:03d}"


def _number(part: Record) -> int:
    return int(part.sort.rpartition("/")[2])


def _upload_id(file: StoredFile) -> str:
    return _PREFIX + file.id.removeprefix("file-")


def _file_id(upload_id: str) -> str:
    return f"file-{upload_id.removeprefix(_PREFIX)}" if upload_id.startswith(_PREFIX) else ""


def resource(file: StoredFile, status: str, more: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    return {
        "id": _upload_id(file),
        "object": "upload",
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": file.created_at + UPLOAD_SECONDS,
        "filename": file.name,
        "purpose": file.purpose,
        "status": status,
        "file": None,
        **more,
    }
