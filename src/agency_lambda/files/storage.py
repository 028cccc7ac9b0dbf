"""Where the bytes of files are: one contract, and two backends."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from agency_lambda.errors import FilesUnavailable

CHUNK = 256 * 1024  # bytes that are read at once


class BytesMissing(FilesUnavailable):
    """There are no bytes under the key."""


class Storage(Protocol):
    """Bytes by key. Every method raises FilesUnavailable if the storage fails."""

    async def put(self, key: str, content: bytes) -> None:
        """Store all bytes, or none."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises BytesMissing."""
        ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield the bytes in pieces. Raises BytesMissing before the first one."""
        ...

    async def size(self, key: str) -> int | None: ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete what is there: 1,000 keys at most."""
        ...

    async def form(self, key: str, size: int, media_type: str, seconds: int) -> Mapping[str, Any] | None:
        """Return `url` and `fields` of a form that stores so many bytes of this type there, or None."""
        ...

    async def aclose(self) -> None: ...


def open_storage(url: str) -> Storage:
    """url: `file:///FOLDER` or `s3://BUCKET/PREFIX`."""
    scheme, _, place = url.partition("://")
    if scheme == "s3":
        from agency_lambda.files.s3 import S3Storage

        bucket, _, prefix = place.partition("/")
        return S3Storage(bucket, prefix)
    from agency_lambda.files.folder import FolderStorage

    return FolderStorage(url)
