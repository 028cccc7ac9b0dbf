"""Files in store and storage: nothing is lost, and nothing stays for ever, wherever a process ends."""

import asyncio
import time
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.errors import FileQuotaExceeded, FilesUnavailable, InvalidRequest, NotFound
from agency_lambda.files import model
from agency_lambda.files.media_types import clean_name, kind_of, media_type_of
from agency_lambda.files.model import DUE, USAGE
from agency_lambda.files.service import Files
from agency_lambda.files.uploads import Uploads
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import new_id
from agency_lambda.store import open_store

DAY = 24 * 3600


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(url: str, folder: Path) -> Files:
    return Files(open_store(url), folder.as_uri())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """later(seconds): the clock goes on."""
    passed, now = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: now() + passed[0])
    return lambda seconds: passed.__setitem__(0, passed[0] + seconds)


def run[T](work: Any) -> Any:
    return asyncio.run(work)


def left(files: Files, folder: Path) -> tuple[set[str], int, dict[str, int]]:
    """What lies in the storage, how much is due, and what is counted of the owner."""
    usage = run(files.store.get(USAGE, "ann"))
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    return there, len(run(files.store.query(DUE))), usage.body if usage else {}


NOTHING: Any = (set(), 0, {"files": 0, "bytes": 0})


def test_file_is_its_owners_until_it_expires(files: Files, folder: Path, later: Callable[[float], None]) -> None:
    file = run(files.create("ann", "a.txt", b"hello"))
    assert run(files.get("ann", file.id)) == file
    assert run(files.content(file)) == b"hello"
    with pytest.raises(NotFound):
        run(files.get("bob", file.id))
    later(30 * DAY - 60)
    assert run(files.remove_expired()) == 0
    assert run(files.find("ann", file.id)) == file
    later(120)
    assert run(files.find("ann", file.id)) is None  # to the second, and not when it is swept
    assert run(files.remove_expired()) == 1
    assert left(files, folder) == NOTHING


def test_deleted_file_is_gone_with_its_bytes(files: Files, folder: Path) -> None:
    kept, file = (run(files.create("ann", name, b"hello")) for name in ("a.txt", "b.txt"))
    with pytest.raises(NotFound):
        run(files.delete("bob", file.id))
    run(files.delete("ann", file.id))
    for use in (files.get("ann", file.id), files.delete("ann", file.id), files.content(file)):
        with pytest.raises(NotFound):
            run(use)
    assert left(files, folder) == ({kept.id}, 1, {"files": 1, "bytes": 5})


@pytest.mark.parametrize("at", ["put", "write 1", "write 2", "write 2 done"])
def test_process_that_ends_while_a_file_is_stored_leaves_nothing_for_ever(
    files: Files, folder: Path, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with pytest.raises(Crash):
        _crash(files, at, monkeypatch, files.create("ann", "a.txt", b"hello"))
    if at == "write 2 done":  # it is stored, although nobody was told
        (record,) = run(files.store.query("ann/files"))
        assert run(files.content(run(files.get("ann", record.body["id"])))) == b"hello"
        later(30 * DAY)
    else:
        assert run(files.store.query("ann/files")) == []
        run(files.remove_expired())
        assert left(files, folder)[1] == (at != "write 1")  # it may still be on its way
        later(2 * 3600)
    run(files.remove_expired())
    assert left(files, folder) == (NOTHING if at != "write 1" else (set(), 0, {}))


@pytest.mark.parametrize("at", ["delete", "write 1", "write 1 done", "write 2"])
def test_process_that_ends_while_a_file_is_deleted_has_deleted_it_or_not(
    files: Files, folder: Path, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    file = run(files.create("ann", "a.txt", b"hello"))
    with pytest.raises(Crash):
        _crash(files, at, monkeypatch, files.delete("ann", file.id))
    if at == "write 1":
        assert run(files.content(run(files.get("ann", file.id)))) == b"hello"
        return
    assert run(files.find("ann", file.id)) is None
    later(2)
    run(files.remove_expired())
    assert left(files, folder) == NOTHING


def _crash(files: Files, at: str, monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """Do `work` in a process that ends before an operation, or behind it ("... done")."""
    name, _, rest = at.partition(" ")
    number, _, done = rest.partition(" ")
    subject: Any = files.store if name == "write" else files.storage
    original, calls = getattr(subject, name), [0]

    async def ends(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] != int(number or 1):
            return await original(*args)
        if done:
            await original(*args)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(subject, name, ends)
        run(work)


def test_two_sweeps_at_once_count_once(files: Files, folder: Path, later: Callable[[float], None]) -> None:
    for _ in range(3):
        run(files.create("ann", "a.txt", b"hello", seconds=3600))
    later(3601)

    async def both() -> None:
        await asyncio.gather(files.remove_expired(), files.remove_expired())

    run(both())
    assert left(files, folder) == NOTHING


def test_storage_that_fails_leaves_nothing(files: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> None:
        raise FilesUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(files.storage, "put", fails)
        with pytest.raises(FilesUnavailable):
            run(files.create("ann", "a.txt", b"hello"))
    assert left(files, folder) == NOTHING


def test_owner_has_so_many_files_and_bytes(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.files.service._LIMITS", {"files": 3, "bytes": 10})

    async def many() -> list[Any]:
        works = (files.create("ann", "a.txt", b"x") for _ in range(8))
        return await asyncio.gather(*works, return_exceptions=True)

    stored = [each for each in run(many()) if not isinstance(each, FileQuotaExceeded)]
    assert len(stored) == 3  # not one more, although they came at once
    run(files.delete("ann", stored[0].id))
    with pytest.raises(FileQuotaExceeded, match="bytes"):
        run(files.create("ann", "a.txt", b"x" * 9))
    run(files.create("ann", "a.txt", b"x" * 8))
    run(files.create("bob", "a.txt", b"x" * 10))


def test_larger_file_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FILE", 10)
    run(files.create("ann", "a.txt", b"x" * 10))
    with pytest.raises(InvalidRequest):
        run(files.create("ann", "a.txt", b"x" * 11))


@pytest.mark.parametrize("at", ["put", "write 1", "write 2", "write 2 done"])
@pytest.mark.parametrize("content", [b"hello", b"something else"])
def test_attempt_that_stores_a_file_again_stores_it_once(
    files: Files,
    folder: Path,
    later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    content: bytes,
) -> None:
    file_id = new_id("file")
    with pytest.raises(Crash):
        _crash(files, at, monkeypatch, files.create("ann", "a.txt", b"hello", file_id=file_id))
    first = run(files.create("ann", "a.txt", content, file_id=file_id))
    assert run(files.create("ann", "a.txt", b"third", file_id=file_id)) == first
    expected = b"hello" if at == "write 2 done" else content
    later(DAY)
    run(files.remove_expired())
    assert (first.id, first.size, run(files.content(first))) == (file_id, len(expected), expected)
    assert left(files, folder) == ({file_id}, 1, {"files": 1, "bytes": len(expected)})


def test_upload_in_parts(files: Files, folder: Path, later: Callable[[float], None]) -> None:
    uploads = Uploads(files, "ann")
    upload = run(uploads.create("a.txt", 8, "text/plain", "user_data", None))
    assert "presigned_post" not in upload

    async def at_once() -> Any:
        return await asyncio.gather(*(uploads.add_part(upload["id"], text) for text in (b"aaa", b"bbb", b"cc")))

    first, second, third = run(at_once())
    with pytest.raises(InvalidRequest, match="8 bytes"):
        run(uploads.add_part(upload["id"], b"d"))
    with pytest.raises(NotFound):
        run(Uploads(files, "bob").complete(upload["id"], [first["id"]], None))
    for wrong in ([first["id"]], [first["id"], first["id"], second["id"]], ["part_x"], []):
        with pytest.raises(InvalidRequest):
            run(uploads.complete(upload["id"], wrong, None))
    order = [second["id"], first["id"], third["id"]]
    with pytest.raises(InvalidRequest, match="checksum"):
        run(uploads.complete(upload["id"], order, "0" * 32))
    done = run(uploads.complete(upload["id"], order, md5(b"bbbaaacc").hexdigest()))
    assert done["status"] == "completed"
    assert run(uploads.complete(upload["id"], order, None)) == done  # its answer was lost
    file = run(files.get("ann", done["file"]["id"]))
    assert run(files.content(file)) == b"bbbaaacc"
    parts = {f"{file.id}.{number}" for number in range(3)}
    assert left(files, folder) == (parts, 1, {"files": 1, "bytes": 8})
    later(31 * DAY)
    run(files.remove_expired())
    assert left(files, folder) == NOTHING


def _paused(files: Files, monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Let a method of the storage wait: what says that it was called, and what lets it go on."""
    called, going, method = asyncio.Event(), asyncio.Event(), getattr(files.storage, name)

    async def waits(*arguments: Any) -> Any:
        called.set()
        await going.wait()
        return await method(*arguments)

    monkeypatch.setattr(files.storage, name, waits)
    return called, going


@pytest.mark.parametrize("moment", ["a part is stored", "it is completed"])
def test_upload_that_is_cancelled_meanwhile_leaves_nothing(
    files: Files, folder: Path, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    uploads = Uploads(files, "ann")

    async def cancelled_meanwhile() -> None:
        upload = (await uploads.create("a.txt", 4, "text/plain", "user_data", None))["id"]
        part = await uploads.add_part(upload, b"aaaa" if moment == "it is completed" else b"aa")
        called, going = _paused(files, monkeypatch, "put" if moment == "a part is stored" else "get")
        work = uploads.complete(upload, [part["id"]], None)
        if moment == "a part is stored":
            work.close()
            work = uploads.add_part(upload, b"bb")
        task = asyncio.create_task(work)
        await called.wait()
        await uploads.cancel(upload)
        going.set()
        await asyncio.wait([task])
        assert moment == "a part is stored" or isinstance(task.exception(), NotFound | InvalidRequest)

    run(cancelled_meanwhile())
    later(3600 + 900 + 2)
    run(files.remove_expired())
    assert left(files, folder) == NOTHING


def test_bytes_of_a_file_are_those_that_were_checked(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests complete an upload at once, in other orders: one counts, and its type is that of its bytes."""
    uploads, png, html = Uploads(files, "ann"), b"\x89PNG\r\n\x1a\n", b"<script>"

    async def at_once() -> list[Any]:
        upload = (await uploads.create("a", 16, "", "user_data", None))["id"]
        parts = [(await uploads.add_part(upload, content))["id"] for content in (png, html)]
        orders = (parts, parts[::-1])
        return await asyncio.gather(
            *(uploads.complete(upload, order, None) for order in orders), return_exceptions=True
        )

    done = next(each for each in run(at_once()) if isinstance(each, dict))
    file = run(files.get("ann", done["file"]["id"]))
    content = run(files.content(file))
    assert (file.media_type == "image/png") == content.startswith(png)


def test_file_whose_bytes_are_gone_is_not_found(files: Files, folder: Path) -> None:
    async def read() -> bytes:
        file = await files.create("ann", "a.txt", b"hello")
        await files.storage.delete(file.keys)
        return b"".join([chunk async for chunk in files.stream(file)])

    with pytest.raises(NotFound):
        run(read())


def test_upload_that_is_cancelled_or_left_leaves_nothing(
    files: Files, folder: Path, later: Callable[[float], None]
) -> None:
    uploads = Uploads(files, "ann")
    cancelled, left_alone = (run(uploads.create("a.txt", 8, "text/plain", "user_data", None)) for _ in range(2))
    for upload in (cancelled, left_alone):
        run(uploads.add_part(upload["id"], b"aaa"))
    assert run(uploads.cancel(cancelled["id"]))["status"] == "cancelled"
    assert left(files, folder)[2] == {"files": 1, "bytes": 8}
    later(3601)
    for use in (uploads.add_part(left_alone["id"], b"x"), uploads.complete(left_alone["id"], [], None)):
        with pytest.raises(NotFound):
            run(use)
    later(900)
    run(files.remove_expired())
    assert left(files, folder) == NOTHING


def test_upload_has_so_many_parts(files: Files) -> None:
    uploads = Uploads(files, "ann")
    upload = run(uploads.create("a.txt", 1_000, "text/plain", "user_data", None))
    for _ in range(64):  # as docs/files.md says
        run(uploads.add_part(upload["id"], b""))
    with pytest.raises(FileQuotaExceeded):
        run(uploads.add_part(upload["id"], b""))


def test_part_that_could_not_be_stored_can_be_sent_again(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(files, "ann")
    upload = run(uploads.create("a.txt", 3, "text/plain", "user_data", None))

    async def fails(*_: Any) -> None:
        raise FilesUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(files.storage, "put", fails)
        with pytest.raises(FilesUnavailable):
            run(uploads.add_part(upload["id"], b"aaa"))
    part = run(uploads.add_part(upload["id"], b"bbb"))
    assert run(uploads.complete(upload["id"], [part["id"]], None))["file"]["bytes"] == 3


PNG, PDF = b"\x89PNG\r\n\x1a\n\0", b"%PDF-1.7 \xff"


@pytest.mark.parametrize(
    ("name", "content", "media_type", "kind"),
    [
        ("a.png", PNG, "image/png", "image"),
        ("a", PNG, "image/png", "image"),
        ("a.txt", PNG, "image/png", "image"),  # what it is counts
        ("a.JPG", b"\xff\xd8\xff\xe0", "image/jpeg", "image"),
        ("a.gif", b"GIF89a", "image/gif", "image"),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", "image"),
        ("a.pdf", PDF, "application/pdf", "pdf"),
        ("a.md", b"# x", "text/markdown", "text"),
        ("a.json", b"{}", "application/json", "text"),
        ("a.svg", b"<svg/>", "image/svg+xml", "text"),
        ("a.exe", "ünd".encode(), "text/plain", "text"),
        ("a.txt", "ünd".encode("latin-1"), "application/octet-stream", "other"),
        ("a.txt", b"x\0", "application/octet-stream", "other"),
        ("a.docx", b"PK\x03\x04\xff", model.kind_of.__globals__["_OTHERS"][".docx"], "other"),
    ],
)
def test_type_is_that_of_the_content(name: str, content: bytes, media_type: str, kind: str) -> None:
    assert (media_type_of(name, content), kind_of(media_type)) == (media_type, kind)


@pytest.mark.parametrize("name", ["a.png", "a.jpeg", "a.gif", "a.webp", "a.PDF"])
def test_name_that_promises_another_type_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        media_type_of(name, b"<script>")


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("a\0b\r\n\x1b.txt", "ab.txt"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),  # it would be shown as invoiceexe.jpg
        ("  ..  ", "file"),
        ("", "file"),
        ("x" * 500 + ".pdf", "x" * 196 + ".pdf"),
        ("a\u0308.txt", "ä.txt"),
    ],
)
def test_names_are_cleaned(name: str, clean: str) -> None:
    assert clean_name(name) == clean
