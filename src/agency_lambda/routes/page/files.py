"""The files of the page, read and compressed once."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parents[2] / "page"
INDEX = "index.html"
#: suffix -> media type; files with another suffix, as the README, are not served
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class File(NamedTuple):
    media_type: str
    content: bytes


class Files(NamedTuple):
    """named: path below the folder -> file. digest: of all of them, so that a change of one is a new address."""

    named: dict[str, File]
    digest: str


@cache
def files() -> Files:
    named, digest = dict[str, File](), hashlib.sha256()
    for path in sorted(_FOLDER.rglob("*")):
        if path.is_file() and path.suffix in _MEDIA_TYPES:
            name, content = path.relative_to(_FOLDER).as_posix(), path.read_bytes()
            named[name] = File(_MEDIA_TYPES[path.suffix], content)
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Files(named, digest.hexdigest()[:16])


@cache
def compressed(name: str) -> bytes:
    return compress(files().named[name].content)


def compress(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
