"""The type of a file, by its name and its content, and what a model can be sent of it."""

import unicodedata
from pathlib import PurePosixPath
from typing import Literal

from agency_lambda.errors import InvalidRequest

Kind = Literal["image", "pdf", "text", "other"]

OCTETS = "application/octet-stream"
_PDF = "application/pdf"
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_LONGEST_NAME = 200  # characters
_SIGNED = {  # extension -> the type that the content has to have
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": _PDF,
}
_TEXTS = {
    ".csv": "text/csv",
    ".css": "text/css",
    ".htm": "text/html",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_OTHERS = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".wav": "audio/wav",
}


def clean_name(name: str) -> str:
    """Return the last part of a path, without what cannot be seen."""
    last = name.replace("\\", "/").rpartition("/")[2]
    visible = "".join(each for each in unicodedata.normalize("NFC", last) if unicodedata.category(each)[0] != "C")
    visible = visible.strip(". ")
    if len(visible) <= _LONGEST_NAME:
        return visible or "file"
    suffix = PurePosixPath(visible).suffix[:20]
    return visible[: _LONGEST_NAME - len(suffix)] + suffix


def media_type_of(name: str, content: bytes) -> str:
    """Raises InvalidRequest if the name promises another type than the content has."""
    extension, signed = PurePosixPath(name).suffix.lower(), _signed_type(content)
    promised = _SIGNED.get(extension)
    if promised and promised != signed:
        raise InvalidRequest(f"The file's content is not {promised}, as its name says.", param="file")
    if signed:
        return signed
    if _is_text(content):
        return _TEXTS.get(extension, "text/plain")
    return _OTHERS.get(extension, OCTETS)


def kind_of(media_type: str) -> Kind:
    """Return as what a model is sent a file: `other` is not sent."""
    if media_type in _IMAGES:
        return "image"
    if media_type == _PDF:
        return "pdf"
    return "text" if media_type == "text/plain" or media_type in _TEXTS.values() else "other"


def _signed_type(content: bytes) -> str | None:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    return _PDF if content.startswith(b"%PDF-") else None


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content
