"""The files of one run: what its models are sent of them."""

import asyncio
from base64 import b64encode
from typing import Any

from agency_lambda.errors import NO_FILES, FilesNotConfigured, NotFound
from agency_lambda.files.model import StoredFile
from agency_lambda.files.service import Files
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import is_file_id
from agency_lambda.protocol.types import Item

_GONE = "[The file {id} that was here is not stored any more.]"
_LEFT_OUT = "[The file {name} that was here is left out: a model is sent {most:,} bytes of files at most.]"
_REFUSED = "[The file {name} that was here is {type}, which models are not sent.]"


class RunFiles:
    """The files of a run's owner. files: None where none are kept any more."""

    def __init__(self, files: Files | None, owner: str) -> None:
        self._files, self._owner = files, owner
        self._known: dict[str, StoredFile | None] = {}
        self._read: dict[str, Item] = {}  # parts by id

    async def expanded(self, items: list[Item]) -> list[Item]:
        """Return items with the bytes of the files that they name, the newest first, up to bounds.MODEL_FILES.

        Raises:
            StoreUnavailable: a file cannot be read now.
        """
        left, expanded = bounds.MODEL_FILES, list[Item]()
        for item in reversed(items):
            new = item
            for name in ("content", "output"):
                if isinstance(parts := item.get(name), list) and any(map(_names_file, parts)):
                    new, sent = {**new, name: list[Any]()}, new
                    for part in reversed(sent[name]):
                        part, taken = await self._part(part, left) if _names_file(part) else (part, 0)
                        left -= taken
                        new[name].insert(0, part)
            expanded.append(new)
        return expanded[::-1]

    @property
    def available(self) -> bool:
        """Return whether files are kept here."""
        return self._files is not None

    async def find(self, file_id: str) -> StoredFile | None:
        return await self._files.find(self._owner, file_id) if self._files else None

    async def save(self, file_id: str, name: str, content: bytes, media_type: str | None, container: str) -> StoredFile:
        """Store a file that a run has made, once. Raises ServiceError."""
        if self._files is None:
            raise FilesNotConfigured(NO_FILES)
        if found := await self.find(file_id):
            return found
        made: dict[str, Any] = {"purpose": "assistants_output", "file_id": file_id, "container": container}
        return await self._files.create(self._owner, name, content, media_type=media_type, **made)

    async def _part(self, part: Item, left: int) -> tuple[Item, int]:
        """Return the part to send, and how many bytes of a file it has."""
        file_id = part["file_id"]
        if file_id not in self._known:
            self._known[file_id] = await self.find(file_id)
        file = self._known[file_id]
        if file is None:
            return _text(_GONE.format(id=file_id)), 0
        if file.size > left:
            return _text(_LEFT_OUT.format(name=file.name, most=bounds.MODEL_FILES)), 0
        if file_id not in self._read:
            try:
                self._read[file_id] = await asyncio.to_thread(_sent, file, await self._content(file))
            except NotFound:
                return _text(_GONE.format(id=file_id)), 0
        detail = {"detail": part.get("detail", "auto")} if file.kind == "image" else {}
        return self._read[file_id] | detail, file.size

    async def _content(self, file: StoredFile) -> bytes:
        assert self._files
        return b"" if file.kind == "other" else await self._files.content(file)


def _names_file(part: Any) -> bool:
    return isinstance(part, dict) and is_file_id(part.get("file_id"))


def _sent(file: StoredFile, content: bytes) -> Item:
    if file.kind == "other":
        return _text(_REFUSED.format(name=file.name, type=file.media_type))
    if file.kind == "text":  # every provider takes texts, and few take files
        return _text(f"[File {file.name}]\n{content.decode()}")
    url = f"data:{file.media_type};base64,{b64encode(content).decode()}"
    if file.kind == "image":
        return {"type": "input_image", "image_url": url}
    return {"type": "input_file", "filename": file.name, "file_data": url}


def _text(text: str) -> Item:
    return {"type": "input_text", "text": text}
