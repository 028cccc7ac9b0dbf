"""Serves the built files of the page."""

import hashlib
import html
import json
import re
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from agency_lambda import __version__
from agency_lambda.errors import NotFound
from agency_lambda.exception_handlers import error_response
from agency_lambda.routes.page.files import INDEX, compress, compressed, files
from agency_lambda.routes.page.headers import security_headers
from agency_lambda.settings import Settings, get_settings
from lambda_loop import current_invocation

_FOR_EVER = "public, max-age=31536000, immutable"
_VARY = {"vary": "accept-encoding"}
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


async def index(request: Request) -> Response:
    if (slash := _with_slash(request.scope)) is not None:
        return Response(status_code=307, headers={"location": slash, "cache-control": "no-cache"})
    settings = get_settings()
    endpoints = await _endpoints(settings)
    content = _document(_page_settings(settings) | endpoints)
    headers = {"cache-control": "no-cache"} | security_headers(endpoints.get("token_endpoint"))
    etag = f'W/"{hashlib.sha256(repr((content, headers)).encode()).hexdigest()[:16]}"'
    headers |= {"etag": etag, **_VARY}
    if etag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    if _takes_gzip(request):
        content, headers = compress(content), headers | {"content-encoding": "gzip"}
    return Response(content, headers=headers | {"content-type": files().named[INDEX].media_type})


def file(request: Request) -> Response:
    digest, _, name = request.path_params["path"].partition("/")
    found = files().named.get(name) if digest == files().digest else None
    if found is None:  # perhaps of another version: whoever keeps this answer keeps it for that one
        error = NotFound("The page has no such file. Load it again: there may be a newer version.")
        return error_response(request.scope, error, {"cache-control": "no-store"})
    headers = {"content-type": found.media_type, "cache-control": _FOR_EVER, **security_headers(), **_VARY}
    if _takes_gzip(request):
        return Response(compressed(name), headers=headers | {"content-encoding": "gzip"})
    return Response(found.content, headers=headers)


def _document(settings: dict[str, Any]) -> bytes:
    page = files()
    text = page.named[INDEX].content.decode()
    written = html.escape(json.dumps(settings, ensure_ascii=False))
    return text.replace("{page}", f"page/{page.digest}").replace("{settings}", written).encode()


def _page_settings(settings: Settings) -> dict[str, Any]:
    """Return what the page must know before it can ask anything. Everybody may read it."""
    return {
        "auth": settings.auth,
        "version": __version__,
        "issuer": settings.jwt_issuer,
        "audience": settings.jwt_audience,
        "client_id": settings.page_client_id,
        "scope": settings.page_scope,
    }


async def _endpoints(settings: Settings) -> dict[str, str]:
    """Return where a person signs in and where the page then gets a token, or {} if the issuer does not answer."""
    if not (settings.jwt_issuer and settings.page_client_id):
        return {}
    from agency_lambda.routes.page.issuer import endpoints

    return await endpoints(settings.jwt_issuer)


def _with_slash(scope: Scope) -> str | None:
    """Return the address with a slash at its end, relative, or None if it has one: the page's own URLs are relative.

    The event has the path as it was sent; the scope of a stage's root has a slash either way.
    """
    context = (scope.get("aws.event") or {}).get("requestContext") or {}
    sent = context.get("path") or (context.get("http") or {}).get("path") or scope["path"]
    if sent.endswith("/") or not (step := unquote(sent).rpartition("/")[2]):
        return None
    query = scope["query_string"].decode("latin-1")
    return f"./{quote(step, safe='')}/{f'?{query}' if query else ''}"


def _takes_gzip(request: Request) -> bool:
    """Return whether the body may be compressed. Of a buffered one, API Gateway would send the base64."""
    invocation = current_invocation.get()
    is_whole = invocation is not None and invocation.buffered
    return not is_whole and _GZIP.search(request.headers.get("accept-encoding", "").lower()) is not None
