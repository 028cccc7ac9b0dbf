"""Stores, finds, serves and deletes the files of all owners, within their quotas."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

from agency_lambda.errors import FileQuotaExceeded, FilesUnavailable, StoreUnavailable
from agency_lambda.files.media_types import clean_name, kind_of, media_type_of
from agency_lambda.files.model import (
    DUE,
    Due,
    StoredFile,
    check_size,
    count,
    file_key,
    files_partition,
    not_found,
    pending_partition,
)
from agency_lambda.files.storage import BytesMissing, Storage, open_storage
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import new_id
from agency_lambda.store import ABSENT, Conflict, LimitReached, Put, Record, Store

logger = logging.getLogger(__name__)
_LIMITS = {"files": bounds.FILES_OF_OWNER, "bytes": bounds.FILE_BYTES_OF_OWNER}
_SWEPT = 100  # files whose bytes are deleted at once


class Files:
    """The files of all owners."""

    def __init__(self, store: Store, url: str) -> None:
        self.store, self._url = store, url
        self._storage: Storage | None = None
        self.completing = asyncio.Semaphore(1)  # an upload is read whole to be checked

    @property
    def storage(self) -> Storage:
        if self._storage is None:
            self._storage = open_storage(self._url)  # imports the client of S3
        return self._storage

    async def create(
        self,
        owner: str,
        name: str,
        content: bytes,
        *,
        purpose: str = "user_data",
        seconds: int = bounds.FILE_SECONDS,
        media_type: str | None = None,
        file_id: str | None = None,
        container: str = "",
    ) -> StoredFile:
        """Store a file.

        media_type: if the content has no type of its own. file_id: of a file that an earlier attempt may have stored.

        Raises:
            InvalidRequest: its size, or its name for this content.
            FileQuotaExceeded, FilesUnavailable, StoreUnavailable.
        """
        name = clean_name(name)
        check_size(len(content))
        found = await asyncio.to_thread(media_type_of, name, content)
        media_type = media_type if media_type and kind_of(found) in ("text", "other") else found
        file = new_file(owner, name, len(content), media_type, purpose, seconds, file_id)
        try:
            file = await self._reserved(replace(file, container=container))
        except Conflict:  # an earlier attempt has stored it
            return await self.get(owner, file.id)
        try:
            await self.storage.put(file.id, content)
        except FilesUnavailable:
            with suppress(StoreUnavailable):  # then it is swept
                await self.drop(file)
            raise
        return await self.commit(file)

    async def _reserved(self, file: StoredFile) -> StoredFile:
        """Raises Conflict."""
        while (found := await self.reserve(file)).size != file.size:
            await self.drop(found)  # an earlier attempt had other bytes
        return replace(found, media_type=file.media_type)

    async def reserve(self, file: StoredFile) -> StoredFile:
        """Count a file whose bytes will come. Returns it, or what an earlier attempt has reserved.

        Raises:
            FileQuotaExceeded: its owner has too many.
            Conflict: it is stored.
        """
        pending, absent = file.put_pending(), replace(file, version=ABSENT).delete()
        try:
            await self.store.write(pending, absent, file.due_while_pending(), count(file.owner, 1, file.size, _LIMITS))
        except LimitReached as reached:
            most = (
                f"{bounds.FILES_OF_OWNER:,} files"
                if reached.name == "files"
                else f"{bounds.FILE_BYTES_OF_OWNER:,} bytes"
            )
            raise FileQuotaExceeded(f"More than {most} are not stored of one owner: delete some.") from reached
        except Conflict:  # an earlier attempt has
            found = await self.pending(file.owner, file.id)
            if found is None:
                raise
            return found
        return replace(file, version=pending.version)

    async def commit(self, file: StoredFile) -> StoredFile:
        """Show a file whose bytes are there."""
        put = file.put()
        try:
            await self.store.write(
                file.delete_pending(), put, file.delete_due(pending=True), file.put_due(file.expires_at)
            )
        except Conflict:
            if found := await self.find(file.owner, file.id):
                return found  # another attempt has shown it
            raise FilesUnavailable("The file was not complete in time.") from None
        return replace(file, version=put.version)

    async def drop(self, file: StoredFile) -> None:
        """Forget a pending file, with its bytes."""
        now = file.put_due(int(time.time()))
        with suppress(Conflict):  # it is complete, or dropped
            await self.store.write(file.delete_pending(), file.delete_due(pending=True), now)
            await self._remove(_written(now))

    async def pending(self, owner: str, file_id: str) -> StoredFile | None:
        record = await self.store.get(pending_partition(owner), file_id)
        return StoredFile.from_record(record) if record else None

    async def find(self, owner: str, file_id: str) -> StoredFile | None:
        key = file_key(file_id)
        record = await self.store.get(files_partition(owner), key) if key else None
        return StoredFile.from_record(record) if record else None

    async def get(self, owner: str, file_id: str, param: str | None = None) -> StoredFile:
        """Raises NotFound."""
        if (found := await self.find(owner, file_id)) is None:
            raise not_found(file_id, param)
        return found

    async def content(self, file: StoredFile) -> bytes:
        """Raises NotFound if it was deleted meanwhile."""
        try:
            return b"".join(await asyncio.gather(*map(self.storage.get, file.keys)))
        except BytesMissing:
            raise not_found(file.id) from None

    async def stream(self, file: StoredFile) -> AsyncIterator[bytes]:
        """Yield the bytes in pieces. Raises NotFound before the first one."""
        for key in file.keys:
            try:
                async for chunk in self.storage.stream(key):
                    yield chunk
            except BytesMissing:
                raise not_found(file.id) from None

    async def delete(self, owner: str, file_id: str) -> None:
        """Raises NotFound."""
        file = await self.get(owner, file_id)
        now = file.put_due(int(time.time()))
        try:
            await self.store.write(file.delete(), file.delete_due(), now)
        except Conflict:
            raise not_found(file_id) from None
        with suppress(FilesUnavailable):  # then it is swept
            await self._remove(_written(now))

    async def remove_expired(self) -> int:
        """Delete the bytes of files that have expired, or never were complete; returns how many."""
        due = await self.store.query(DUE, before=f"{int(time.time()) + 1:012d}", limit=_SWEPT)
        if due:
            await self._remove(*map(Due, due))
        return len(due)

    async def _remove(self, *due: Due) -> None:
        # The bytes first: the row is what remembers them.
        keys = [key for each in due for key in each.keys]
        for start in range(0, len(keys), 1000):
            await self.storage.delete(keys[start : start + 1000])
        for each in due:
            with suppress(Conflict):  # another process has
                await self.store.write(*each.done())

    async def aclose(self) -> None:
        if self._storage:
            await self._storage.aclose()


def new_file(
    owner: str, name: str, size: int, media_type: str, purpose: str, seconds: int, file_id: str | None = None
) -> StoredFile:
    now = int(time.time())
    return StoredFile(
        id=file_id or new_id("file"),
        owner=owner,
        name=name,
        size=size,
        media_type=media_type,
        purpose=purpose,
        created_at=now,
        expires_at=now + seconds,
    )


def _written(put: Put) -> Due:
    return Due(Record(put.partition, put.sort, put.body, put.version))
