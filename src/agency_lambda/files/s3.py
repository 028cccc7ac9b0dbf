"""Bytes of files in a bucket of Amazon S3."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agency_lambda.errors import FilesUnavailable
from agency_lambda.files.storage import CHUNK, BytesMissing

_CONFIG = Config(
    connect_timeout=2,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 3},
    signature_version="s3v4",  # of forms, which a bucket with its own key takes no others of
)
_MISSING = {"NoSuchKey", "404"}


class S3Storage:
    """May be used again after `aclose()`."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket, self._prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._made: Any = None
        self._lock = Lock()

    async def put(self, key: str, content: bytes) -> None:
        await _in_thread(lambda: self._client.put_object(**self._object(key), Body=content))

    async def get(self, key: str) -> bytes:
        content: bytes = await _in_thread(lambda: self._client.get_object(**self._object(key))["Body"].read())
        return content

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        body = await _in_thread(lambda: self._client.get_object(**self._object(key))["Body"])
        try:
            while chunk := await _in_thread(body.read, CHUNK):
                yield chunk
        finally:
            body.close()

    async def size(self, key: str) -> int | None:
        try:
            head = await _in_thread(lambda: self._client.head_object(**self._object(key)))
        except BytesMissing:
            return None
        return int(head["ContentLength"])

    async def delete(self, keys: Sequence[str]) -> None:
        objects = [{"Key": self._prefix + key} for key in keys]
        request = {"Bucket": self._bucket, "Delete": {"Objects": objects, "Quiet": True}}
        answer = await _in_thread(lambda: self._client.delete_objects(**request))
        if answer.get("Errors"):
            raise FilesUnavailable("Some files could not be deleted.")

    async def form(self, key: str, size: int, media_type: str, seconds: int) -> Mapping[str, Any] | None:
        type_field = {"Content-Type": media_type}
        conditions = [type_field, ["content-length-range", size, size]]
        place = {"Bucket": self._bucket, "Key": self._prefix + key}
        options = {"Fields": type_field, "Conditions": conditions, "ExpiresIn": seconds}
        form: Mapping[str, Any] = await _in_thread(lambda: self._client.generate_presigned_post(**place, **options))
        return form

    async def aclose(self) -> None:
        client, self._made = self._made, None
        if client:
            client.close()

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    @property
    def _client(self) -> Any:
        with self._lock:  # clients are thread-safe, but making one is not
            if self._made is None:
                self._made = boto3.session.Session().client("s3", config=_CONFIG)
            return self._made


async def _in_thread[T](work: Callable[..., T], *arguments: Any) -> T:
    try:
        return await asyncio.to_thread(work, *arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise BytesMissing("The bytes of the file are not there.") from error
        raise FilesUnavailable("The files cannot be read or written at the moment.") from error
    except (BotoCoreError, OSError) as error:
        raise FilesUnavailable("The files cannot be read or written at the moment.") from error
