"""Bodies of forms, and events with them."""

from base64 import b64encode
from typing import Any

from agency_lambda.testing.events import http_event

BOUNDARY = "----x0123456789"


def form(*fields: tuple[str, str | bytes], filename: str | None = None, boundary: str = BOUNDARY) -> bytes:
    """Return the fields as a client sends them; `file` and `data` are files."""
    parts = list[bytes]()
    for name, value in fields:
        is_file = name in ("file", "data")
        escaped = (filename or "a.txt").replace('"', "%22")
        named = f'; filename="{escaped}"' if is_file else ""
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"{named}\r\n\r\n'
        parts += [head.encode(), value if isinstance(value, bytes) else value.encode(), b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def form_event(path: str, body: bytes, boundary: str = BOUNDARY, **headers: str) -> dict[str, Any]:
    """Return the event of a POST, as API Gateway makes it of a binary media type."""
    headers = {"content-type": f"multipart/form-data; boundary={boundary}", **headers}
    return {**http_event("POST", path, None, **headers), "body": b64encode(body).decode(), "isBase64Encoded": True}


def file_form(content: bytes, name: str = "a.txt", purpose: str = "user_data") -> bytes:
    return form(("purpose", purpose), ("file", content), filename=name)
