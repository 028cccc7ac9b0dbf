"""Requests about files, as in OpenAI's Files and Uploads APIs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agency_lambda.errors import InvalidRequest, PayloadTooLarge, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.multipart import Part, parse_form
from agency_lambda.protocol.types import PURPOSES, Purpose

_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_TOO_LARGE = (
    f"A request brings {bounds.FILE_PART:,} bytes of a file at most: make an upload (POST /v1/uploads), which takes "
    "more, in parts or by a form of S3."
)


class ExpiresAfter(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    anchor: Literal["created_at"]
    seconds: int = Field(ge=bounds.FILE_LEAST_SECONDS, le=bounds.FILE_SECONDS)


class NewUpload(BaseModel):
    """A file that comes in parts, or by a form."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bytes: int = Field(ge=1)
    filename: str = Field(min_length=1, max_length=1_000)
    mime_type: str = Field(max_length=200, pattern=r"^[\x21-\x7e]*(; [\x21-\x7e]+)*$")
    purpose: Purpose
    expires_after: ExpiresAfter | None = None


class CompleteUpload(BaseModel):
    """part_ids: in order; without any the bytes are those that the form has stored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    part_ids: list[str] = Field(max_length=100)
    md5: str | None = Field(default=None, max_length=64)


@dataclass(frozen=True)
class NewFile:
    name: str
    content: bytes
    purpose: str
    seconds: int


def parse_file(content_type: str, body: bytes) -> NewFile:
    """Raises InvalidRequest, UnsupportedParameter, PayloadTooLarge."""
    parts = parse_form(content_type, body)
    file = _file(parts, "file", {"purpose", _ANCHOR, _SECONDS})
    purpose = _text(parts, "purpose")
    if purpose is None:
        raise InvalidRequest(
            "Missing required parameter: 'purpose'.", param="purpose", code="missing_required_parameter"
        )
    if purpose not in PURPOSES:
        raise InvalidRequest(f"must be one of {', '.join(PURPOSES)}", param="purpose")
    return NewFile(file.filename or "", file.content, purpose, _seconds(parts))


def parse_part(content_type: str, body: bytes) -> bytes:
    """Return the bytes of a part of an upload. Raises as `parse_file` does."""
    return _file(parse_form(content_type, body), "data", set()).content


def _file(parts: Mapping[str, Part], name: str, others: set[str]) -> Part:
    for other in parts.keys() - others - {name}:
        raise UnsupportedParameter(f"Unsupported parameter: {other[:99]!r}.", param=other)
    file = parts.get(name)
    if file is None:
        raise InvalidRequest(f"Missing required parameter: {name!r}.", param=name, code="missing_required_parameter")
    if file.filename is None:
        raise InvalidRequest("must be a file, with a filename", param=name)
    if len(file.content) > bounds.FILE_PART:
        raise PayloadTooLarge(_TOO_LARGE, param=name)
    return file


def _seconds(parts: Mapping[str, Part]) -> int:
    anchor, seconds = _text(parts, _ANCHOR), _text(parts, _SECONDS)
    if anchor is None and seconds is None:
        return bounds.FILE_SECONDS
    if anchor != "created_at":
        raise InvalidRequest("must be 'created_at'", param=_ANCHOR)
    if (
        seconds is None
        or not seconds.isdecimal()
        or not seconds.isascii()
        or len(seconds) > 9  # so also one that begins with many zeros
        or not bounds.FILE_LEAST_SECONDS <= int(seconds) <= bounds.FILE_SECONDS
    ):
        raise InvalidRequest(
            f"must be a number from {bounds.FILE_LEAST_SECONDS} to {bounds.FILE_SECONDS}", param=_SECONDS
        )
    return int(seconds)


def _text(parts: Mapping[str, Part], name: str) -> str | None:
    part = parts.get(name)
    if part is None:
        return None
    try:
        return part.content[:1_000].decode()
    except UnicodeDecodeError:
        raise InvalidRequest("must be a text", param=name) from None
