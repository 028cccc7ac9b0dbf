"""The contract of the storage of bytes, on each backend."""

import asyncio
import json
import stat
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.stub import Stubber

from agency_lambda.errors import FilesUnavailable
from agency_lambda.files.storage import CHUNK, BytesMissing, Storage, open_storage
from agency_lambda.testing.aws import bucket

BYTES = bytes(range(256)) * 4 * (CHUNK // 512)  # two pieces


@pytest.fixture(params=["folder", "s3"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Callable[[], set[str]]]]:
    """The URL of an empty storage, and what lies there, read behind its back."""
    if request.param == "folder":
        folder = tmp_path / "new folder" / "files"
        yield folder.as_uri(), lambda: {path.name for path in folder.iterdir()} if folder.exists() else set()
        return
    with bucket() as (name, client, environment):
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        yield (
            f"s3://{name}/some/where",
            lambda: {
                each["Key"].removeprefix("some/where/")
                for each in client.list_objects_v2(Bucket=name).get("Contents", [])
            },
        )


@pytest.fixture
def storage(place: tuple[str, Any]) -> Iterator[Storage]:
    opened = open_storage(place[0])
    yield opened
    asyncio.run(opened.aclose())


async def streamed(storage: Storage, key: str) -> list[bytes]:
    return [chunk async for chunk in storage.stream(key)]


def test_bytes_are_read_as_they_were_put(storage: Storage, place: tuple[str, Callable[[], set[str]]]) -> None:
    async def use() -> None:
        for content in (b"", b"x", BYTES):
            await storage.put("file-1", content)
            assert await storage.get("file-1") == content
            pieces = await streamed(storage, "file-1")
            assert b"".join(pieces) == content
            assert all(len(piece) <= CHUNK for piece in pieces)
            assert await storage.size("file-1") == len(content)

    asyncio.run(use())
    assert place[1]() == {"file-1"}  # nothing unfinished is left


def test_what_is_not_there_is_missing(storage: Storage) -> None:
    async def use() -> None:
        with pytest.raises(BytesMissing):
            await storage.get("file-2")
        with pytest.raises(BytesMissing):
            await streamed(storage, "file-2")
        assert await storage.size("file-2") is None

    asyncio.run(use())


def test_deleting_takes_what_is_there_and_nothing_else(
    storage: Storage, place: tuple[str, Callable[[], set[str]]]
) -> None:
    async def use() -> None:
        for key in ("file-1", "file-1.0", "file-2"):
            await storage.put(key, b"x")
        await storage.delete(["file-1", "file-1.0", *(f"file-1.{number}" for number in range(1, 999))])

    asyncio.run(use())
    assert place[1]() == {"file-2"}


def test_storage_can_be_used_again_after_it_was_closed(storage: Storage) -> None:
    async def use() -> None:
        await storage.put("file-1", b"x")
        await storage.aclose()
        assert await storage.get("file-1") == b"x"

    asyncio.run(use())


def test_only_s3_has_a_form_and_it_takes_these_bytes_alone(storage: Storage, place: tuple[str, Any]) -> None:
    form = asyncio.run(storage.form("file-1", 5, "text/plain", 60))
    if place[0].startswith("file:"):
        assert form is None
        return
    assert form
    policy = json.loads(b64decode(form["fields"]["policy"]))["conditions"]
    assert ["content-length-range", 5, 5] in policy
    assert {"Content-Type": "text/plain"} in policy
    assert {"key": "some/where/file-1"} in policy
    assert form["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    sent = httpx.post(form["url"], data=form["fields"], files={"file": ("a.txt", b"hello")})
    assert sent.status_code == 204
    assert asyncio.run(storage.get("file-1")) == b"hello"


def test_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("no folder")
    storage = open_storage((tmp_path / "files" / "below").as_uri())
    with pytest.raises(FilesUnavailable):
        asyncio.run(storage.put("file-1", b"x"))


def test_folder_has_all_bytes_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage((tmp_path / "files").as_uri())
    asyncio.run(storage.put("file-1", b"before"))

    def fails(descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("agency_lambda.files.folder.os.fsync", fails)
    for key in ("file-1", "file-2"):
        with pytest.raises(FilesUnavailable):
            asyncio.run(storage.put(key, b"after"))
    assert asyncio.run(storage.get("file-1")) == b"before"
    with pytest.raises(BytesMissing):
        asyncio.run(storage.get("file-2"))
    asyncio.run(storage.delete(["file-1", "file-2"]))
    assert list((tmp_path / "files").iterdir()) == []


def test_folder_is_its_owners_alone(tmp_path: Path) -> None:
    asyncio.run(open_storage((tmp_path / "files").as_uri()).put("file-1", b"x"))
    assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700


def test_s3_that_refuses_or_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket() as (name, _, environment):
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        storage: Any = open_storage(f"s3://{name}")
        with Stubber(storage._client) as stubber:
            for operation in ("put_object", "get_object", "delete_objects", "head_object"):
                stubber.add_client_error(operation, "AccessDenied", http_status_code=403)
            for use in (storage.put("a", b""), storage.get("a"), storage.delete(["a"]), storage.size("a")):
                with pytest.raises(FilesUnavailable):
                    asyncio.run(use)
            stubber.add_response("delete_objects", {"Errors": [{"Key": "a", "Code": "InternalError"}]})
            with pytest.raises(FilesUnavailable):
                asyncio.run(storage.delete(["a"]))
    with pytest.raises(FilesUnavailable):
        asyncio.run(storage.get("a"))
