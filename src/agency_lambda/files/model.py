"""The records of files.

A file whose bytes are on their way is a row of `pending_partition`, a complete one a row of `files_partition`. Already
the first write adds a row to DUE, with the time at which the bytes are deleted, so that a crash leaves none for good.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from agency_lambda.errors import InvalidRequest, NotFound
from agency_lambda.files.media_types import Kind, kind_of
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import created_microseconds, is_file_id
from agency_lambda.store import ABSENT, Add, Change, Delete, Put, Record

MOST_PARTS = 64  # of an upload
UPLOAD_SECONDS = 3600  # until an upload has to be complete
DUE = "files#due"
"""The partition with one row for each file, in the order of the times when their bytes are to be deleted."""
USAGE = "files#usage"
"""The partition with a counter for each owner: `files` and `bytes`."""
_GRACE = 900  # seconds behind UPLOAD_SECONDS in which an upload that is just being completed may end


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """purpose: the client's, or `assistants_output` of what a run has made.

    container: the program run that made it, or "". parts: whether it is an upload.
    numbers: of those of its parts that are its bytes, in their order.
    """

    id: str
    owner: str
    name: str
    size: int
    media_type: str
    purpose: str
    created_at: int
    expires_at: int
    container: str = ""
    parts: bool = False
    numbers: tuple[int, ...] = ()
    version: str = field(default=ABSENT, compare=False)

    @classmethod
    def from_record(cls, record: Record) -> "StoredFile":
        numbers = tuple(record.body.get("numbers", ()))
        return cls(**record.body | {"numbers": numbers}, version=record.version)

    @property
    def keys(self) -> list[str]:
        """Return where its bytes are. Parts are immutable: what was checked is what is served."""
        return [part_key(self.id, number) for number in self.numbers] or [self.id]

    @property
    def kind(self) -> Kind:
        return kind_of(self.media_type)

    @property
    def resource(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }

    @property
    def _body(self) -> dict[str, Any]:
        body = asdict(self)
        del body["version"]
        return body

    def put(self) -> Put:
        return Put(files_partition(self.owner), str(file_key(self.id)), self._body, self.expires_at, expected=ABSENT)

    def delete(self) -> Delete:
        return Delete(files_partition(self.owner), str(file_key(self.id)), expected=self.version)

    def put_pending(self) -> Put:
        return Put(pending_partition(self.owner), self.id, self._body, _too_late(self.created_at), expected=ABSENT)

    def delete_pending(self) -> Delete:
        return Delete(pending_partition(self.owner), self.id, expected=self.version)

    def put_due(self, seconds: int) -> Put:
        """seconds: the Unix time when its bytes are to be deleted."""
        body = {"owner": self.owner, "size": self.size, "files": 1, "parts": self.parts}
        return Put(DUE, f"{seconds:012d}/{self.id}", body)

    def delete_due(self, *, pending: bool = False) -> Delete:
        seconds = _too_late(self.created_at) if pending else self.expires_at
        return Delete(DUE, f"{seconds:012d}/{self.id}")

    def due_while_pending(self) -> Put:
        return self.put_due(_too_late(self.created_at))

    @property
    def is_late(self) -> bool:
        """Return whether an upload can no longer be completed."""
        return time.time() > self.created_at + UPLOAD_SECONDS


@dataclass(frozen=True)
class Due:
    """A row of DUE: bytes that are to be deleted, and what they count for."""

    record: Record

    @property
    def file_id(self) -> str:
        return self.record.sort.partition("/")[2]

    @property
    def keys(self) -> list[str]:
        """Return where bytes may be."""
        if not self.record.body["parts"]:
            return [self.file_id]
        parts = (part_key(self.file_id, number) for number in range(MOST_PARTS))
        return [self.file_id, form_key(self.file_id), *parts]

    def done(self) -> list[Change]:
        """Return what to write when the bytes are gone. Of an upload more may come: they go when it is too late."""
        body, too_late = self.record.body, _too_late((created_microseconds(self.file_id) or 0) // 1_000_000)
        changes: list[Change] = [Delete(DUE, self.record.sort, self.record.version)]
        if counted := body.get("files", 1):
            changes.append(count(body["owner"], -counted, -body["size"]))
        if body["parts"] and too_late > time.time():
            changes.append(Put(DUE, f"{too_late + 1:012d}/{self.file_id}", {**body, "size": 0, "files": 0}))
        return changes


def _too_late(created_at: int) -> int:
    """Return when an upload can no longer end."""
    return created_at + UPLOAD_SECONDS + _GRACE


def count(owner: str, files: int, size: int, at_most: Mapping[str, int] | None = None) -> Add:
    return Add(USAGE, owner, {"files": files, "bytes": size}, at_most or {})


def files_partition(owner: str) -> str:
    return f"{owner}/files"


def pending_partition(owner: str) -> str:
    return f"{owner}/uploads"


def part_key(file_id: str, number: int) -> str:
    return f"{file_id}.{number}"


def form_key(file_id: str) -> str:
    """Return where a form stores bytes, which it may do again until it expires."""
    return f"{file_id}.form"


def file_key(file_id: str) -> str | None:
    """Return None for what is no id of a file."""
    if not is_file_id(file_id):
        return None
    return f"{created_microseconds(file_id):016d}/{file_id}"


def not_found(file_id: object, param: str | None = None) -> NotFound:
    return NotFound(f"File with id {str(file_id)[:99]!r} not found.", param=param)


def check_size(size: int, param: str = "file") -> None:
    if size > bounds.FILE:
        raise InvalidRequest(f"The file has {size:,} bytes: at most {bounds.FILE:,} are stored.", param=param)
