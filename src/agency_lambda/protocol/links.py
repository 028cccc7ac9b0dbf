"""Images and files by link; imported when a client sends one. Nothing here fetches: a provider may."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.parts import LINK_FIELDS
from agency_lambda.protocol.types import Item

_SCHEME = "https://"
_NO_URL = re.compile(r"[\x00-\x20\x7f\\]")


def check_link(url: str, param: str) -> None:
    """Raises UnsupportedParameter, InvalidRequest."""
    if not url.lower().startswith(_SCHEME):
        raise UnsupportedParameter("Only https links and data URLs are supported.", param=param)
    if len(url) > bounds.LINK:
        raise bounds.over_limit(param, "characters", bounds.LINK)
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0) and not _NO_URL.search(url)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidRequest("is no https URL", param=param)
    if "@" in parts.netloc:
        raise UnsupportedParameter("A link has no user and no password in it.", param=param)


def link_of(part: object) -> str | None:
    """Return the link of a part; None if it has its content, or is a text."""
    field = LINK_FIELDS.get(str(part.get("type"))) if isinstance(part, dict) else None
    url = part.get(field) if field and isinstance(part, dict) else None
    return url if isinstance(url, str) and url.lower().startswith(_SCHEME) else None


def links_of(items: Sequence[Item]) -> Iterator[tuple[str, str, str]]:
    """Yield the field in the request, the part's type, and the link."""
    for number, item in enumerate(items):
        for name in ("content", "output"):
            parts = item.get(name)
            for place, part in enumerate(parts if isinstance(parts, list) else ()):
                if url := link_of(part):
                    yield f"input[{number}].{name}[{place}].{LINK_FIELDS[part['type']]}", part["type"], url
