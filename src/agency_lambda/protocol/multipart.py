"""Bodies of `multipart/form-data` (RFC 7578), which are in memory already."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds

TYPE = "multipart/form-data"
_BOUNDARY = re.compile(r""";\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)
_PARAMETER = re.compile(r""";\s*([a-z*]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))""", re.IGNORECASE)
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # by browsers, and by them alone


@dataclass(frozen=True)
class Part:
    """filename: None for a field."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str = ""


def is_multipart(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == TYPE


def parse_form(content_type: str, body: bytes) -> dict[str, Part]:
    """Return the parts by name. Raises InvalidRequest."""
    found = _BOUNDARY.search(content_type) if is_multipart(content_type) else None
    if found is None:
        raise InvalidRequest(f"Send content-type: {TYPE}, with a boundary.")
    parts = dict[str, Part]()
    for part in _parts((found[1] or found[2]).encode(errors="replace"), body):
        if part.name in parts:
            raise InvalidRequest(f"The field {part.name[:99]!r} was given twice.", param=part.name)
        parts[part.name] = part
    return parts


def _parts(boundary: bytes, body: bytes) -> Iterator[Part]:
    first, delimiter = b"--" + boundary, b"\r\n--" + boundary
    if not body.startswith(first):
        raise _malformed("it does not begin with its boundary")
    position = len(first)
    for _ in range(bounds.FORM_PARTS + 1):
        if body.startswith(b"--", position):
            return
        head = body.find(b"\r\n\r\n", position, position + bounds.FORM_HEADERS)
        end = body.find(delimiter, head + 2)
        if not body.startswith(b"\r\n", position) or head < 0 or end < 0:
            raise _malformed(f"a part has no end, or more than {bounds.FORM_HEADERS:,} bytes of headers")
        yield _part(body[position + 2 : head], body[head + 4 : end])
        position = end + len(delimiter)
    raise bounds.over_limit(None, "parts", bounds.FORM_PARTS)


def _part(head: bytes, content: bytes) -> Part:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise _malformed("a part's headers are not UTF-8") from None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    disposition = headers.get("content-disposition", "")
    parameters = {name.lower(): _unquoted(quoted or plain) for name, quoted, plain in _PARAMETER.findall(disposition)}
    if not disposition.lower().startswith("form-data") or not parameters.get("name"):
        raise _malformed("a part has no name")
    filename = parameters.get("filename")
    if extended := parameters.get("filename*"):  # of older clients: UTF-8''percent-encoded
        filename = unquote(extended.rpartition("'")[2])
    return Part(parameters["name"], content, filename, headers.get("content-type", ""))


def _unquoted(text: str) -> str:
    text = re.sub(r'\\(["\\])', r"\1", text)
    for escape, character in _ESCAPED.items():
        text = text.replace(escape, character)
    return text


def _malformed(why: str) -> InvalidRequest:
    return InvalidRequest(f"The body is no {TYPE}: {why}.")
