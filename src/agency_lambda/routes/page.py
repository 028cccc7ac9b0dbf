"""The page: files of `page/`, which need no key. Their names hold a digest of them all, so that they are kept."""

import hashlib
import json
from functools import cache
from html import escape
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from agency_lambda import __version__
from agency_lambda.errors import NotFound
from agency_lambda.settings import get_settings

FOLDER = Path(__file__).parents[1] / "page"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types agency-lambda"
)
router = APIRouter(include_in_schema=False)


@cache
def _files() -> tuple[str, dict[str, bytes]]:
    files = {
        path.relative_to(FOLDER).as_posix(): path.read_bytes()
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _TYPES
    }
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16], files


@router.get("/")
async def index() -> HTMLResponse:
    digest, files = _files()
    settings = escape(json.dumps({"auth": get_settings().auth, "version": __version__}))
    text = files["index.html"].decode().replace("{page}", f"page/{digest}").replace("{settings}", settings)
    return HTMLResponse(text, headers={"cache-control": "no-cache", "content-security-policy": _POLICY})


@router.get("/page/{digest}/{path:path}")
async def file(digest: str, path: str) -> Response:
    known, files = _files()
    if digest != known or path not in files:
        raise NotFound("There is no such file.")
    kept = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(files[path], media_type=_TYPES[Path(path).suffix], headers=kept)
