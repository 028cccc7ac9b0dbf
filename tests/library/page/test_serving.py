"""What serves the page: who may have it, under which headers, behind which path, and what is not served."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from agency_lambda.settings import ConfigurationError
from agency_lambda.testing.events import Context, function_url_event, http_event, rest_event
from tests.library.asgi import Headers, Reply, ask
from tests.library.conftest import ROOT, Service
from tests.library.event_loop.test_root_path import CUSTOM, found, http, mapped, rest
from tests.library.issuer import Issuer, openid_issuer

FOLDER = ROOT / "src" / "agency_lambda" / "page"
GZIP: Headers = [(b"accept-encoding", b"br, gzip;q=0.8")]
KEYS = {"API_KEYS": f"alice:{'0' * 64}"}
type Create = Callable[..., FastAPI]


def text(reply: Reply) -> str:
    assert reply.status == 200, reply
    return str(reply.body.decode())


def folder_of(page: str) -> str:
    """The path of the page's files, as index.html names it: relative."""
    named = re.search(r'src="(page/[0-9a-f]{16})/main.js"', page)
    assert named
    return named[1]


def known_by(page: str) -> dict[str, Any]:
    """What the page is given with its HTML."""
    meta = re.search(r'<meta name="agency-lambda" content="([^"]*)">', page)
    assert meta
    given: dict[str, Any] = json.loads(unescape(meta[1]))
    return given


def sent_for(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]*)"', page)


def test_everything_that_the_page_names_is_served_relative_and_for_ever(service_app: Create) -> None:
    app = service_app(**KEYS)
    page = text(ask(app, "/"))
    names = {
        path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".svg")
    }
    folder = folder_of(page)
    assert all(each.startswith(f"{folder}/") for each in sent_for(page))
    types = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    for path in {f"{folder}/{name}" for name in names} | {*sent_for(page)}:
        reply = ask(app, f"/{path}")
        assert (reply.status, reply.headers["content-type"]) == (200, types[Path(path).suffix]), path
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert ask(app, f"/{path}", method="HEAD")[:2] == (200, {**reply.headers, "x-request-id": ANY})


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


ANY: Any = _Any()


def test_the_page_itself_is_asked_for_again_each_time(service_app: Create) -> None:
    app = service_app(**KEYS)
    reply = ask(app, "/")
    assert (reply.headers["cache-control"], reply.headers["content-type"]) == ("no-cache", "text/html; charset=utf-8")
    etag = reply.headers["etag"].encode()
    same = ask(app, "/", [(b"if-none-match", b'"x", ' + etag), *GZIP])
    assert (same.status, same.body) == (304, b"")
    assert same.headers["content-security-policy"] == reply.headers["content-security-policy"]
    assert ask(app, "/", [(b"if-none-match", b'W/"x"')]).status == 200
    other = service_app(AUTH="jwt", JWT_ISSUER="https://issuer.example.com", JWT_AUDIENCE="a", API_KEYS="")
    assert ask(other, "/", [(b"if-none-match", etag)]).status == 200


HOSTILE = (
    *("../settings.py", "../../settings.py", "..%2f..%2fsettings.py", "%2e%2e/settings.py", "..\\settings.py"),
    *("README.md", "LICENCES.txt", "", "/", "//main.js", "./main.js", "main.js/", "MAIN.JS", "main.js\0", "\0"),
    *("main.js%00", "x/../main.js", "x" * 100_000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:30]))
def test_nothing_else_is_served(service_app: Create, name: str) -> None:
    app = service_app(**KEYS)
    folder = folder_of(text(ask(app, "/")))
    reply = ask(app, f"/{folder}/{name}")
    assert (reply.status, reply.headers["cache-control"]) == (404, "no-store")
    assert len(reply.body["error"]["message"]) < 200


@pytest.mark.parametrize("path", ["/page/", "/page/main.js", "/page/0000000000000000/main.js", "/page//main.js"])
def test_files_of_another_version_are_not_there_and_that_is_not_kept(service_app: Create, path: str) -> None:
    reply = ask(service_app(**KEYS), path)
    assert (reply.status, reply.headers["cache-control"]) == (404, "no-store")


def test_the_folder_has_another_name_when_a_file_has_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from agency_lambda.routes.page import files

    monkeypatch.setattr(files, "_FOLDER", tmp_path)
    digests = set()
    for content in ("1", "2"):
        (tmp_path / "a.js").write_text(content)
        digests.add(files.files.__wrapped__().digest)
    (tmp_path / "a.js").rename(tmp_path / "b.js")
    (tmp_path / "README.md").write_text("not served")
    (read,) = [files.files.__wrapped__()]
    assert len(digests | {read.digest}) == 3
    assert {*read.named} == {"b.js"}


def test_nothing_may_run_but_what_is_served_here(service_app: Create) -> None:
    app = service_app(**KEYS)
    page = ask(app, "/")
    script = ask(app, f"/{folder_of(text(page))}/main.js")
    for reply in (page, script):  # a worker has the policy of its own file
        policy = dict(each.split(" ", 1) for each in reply.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["worker-src"] == policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert not re.search(r"unsafe|\*|http", reply.headers["content-security-policy"])
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in reply.headers["permissions-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", text(page))


def test_it_is_compressed_where_bytes_are_sent(service_app: Create, start: Callable[..., Service]) -> None:
    app = service_app(**KEYS)
    for path in ("/", f"/{folder_of(text(ask(app, '/')))}/main.js"):
        small, whole = ask(app, path, GZIP), ask(app, path)
        assert small.headers["content-encoding"] == "gzip"
        assert (gzip.decompress(small.body), whole.headers.get("content-encoding")) == (whole.body, None)
        assert small.headers["vary"] == whole.headers["vary"] == "accept-encoding"
        assert int(small.headers["content-length"]) == len(small.body) < len(whole.body)
        assert "content-encoding" not in ask(app, path, [(b"accept-encoding", b"br, gzip;q=0")]).headers
    handler = start(**KEYS).handler
    for event in (rest_event("GET", "/", **{"accept-encoding": "gzip"}), http_event("GET", "/")):
        answer = handler(event, Context())  # whole: a REST API would send base64 as it is
        assert (answer["isBase64Encoded"], answer["headers"].get("content-encoding")) == (False, None)
        assert answer["body"].startswith("<!doctype html>")


@pytest.mark.parametrize("auth", ["keys", "jwt", "iam"])
def test_who_has_no_key_may_have_the_files_and_nothing_else(service_app: Create, auth: str) -> None:
    jwt = {"JWT_ISSUER": "https://issuer.example.com", "JWT_AUDIENCE": "a"} if auth == "jwt" else {}
    keys = KEYS if auth == "keys" else {}
    app = service_app(AUTH=auth, AWS_LAMBDA_FUNCTION_NAME="api", **jwt, **keys)
    page = text(ask(app, "/"))
    assert ask(app, f"/{folder_of(page)}/main.js").status == 200
    assert known_by(page)["auth"] == auth
    for method, path in (
        ("POST", "/"),
        ("POST", f"/{folder_of(page)}/main.js"),
        ("GET", "/page"),
        ("GET", "/v1/models"),
    ):
        assert ask(app, path, method=method).status == 401, (method, path)


def test_without_a_key_only_this_machine_has_the_page(service_app: Create) -> None:
    app = service_app()
    page = text(ask(app, "/", [(b"host", b"localhost:8000")]))
    for path in ("/", f"/{folder_of(page)}/main.js"):
        assert ask(app, path, [(b"host", b"evil.example.com")]).status == 403
        assert ask(app, path, client=("10.0.0.1", 1)).status == 403


SLASHES: dict[str, tuple[dict[str, Any], str | None]] = {
    "stage": (found(rest("/", "dev", "/dev"), "/"), "./dev/"),
    "stage and slash": (found(rest("/", "dev", "/dev/"), "/"), None),
    "no resource": (rest("/", "dev", "/dev"), "./dev/"),
    "base path": (found(rest("/agents", "dev", "/agents", CUSTOM), "/"), "./agents/"),
    "base path and slash": (found(rest("/agents/", "dev", "/agents/", CUSTOM), "/"), None),
    "base path of two steps": (found(rest("/our/a b", "dev", "/our/a%20b", CUSTOM), "/"), "./a%20b/"),
    "HTTP API": (http("/dev/", "dev"), None),
    "HTTP API without a slash": (http("/dev", "dev"), "./dev/"),
    "HTTP API, its default route behind a base path": (http("/agents/", "$default", CUSTOM), None),
    "function URL": (function_url_event("GET", "/"), None),
    "custom domain": (rest("/", "dev", "/", CUSTOM), None),
}


@pytest.mark.parametrize("case", SLASHES)
def test_the_address_ends_with_a_slash_so_that_relative_urls_are_below_it(
    start: Callable[..., Service], case: str
) -> None:
    event, location = SLASHES[case]
    answer = start(**KEYS).handler(event, Context())
    assert (answer["statusCode"], answer["headers"].get("location")) == (307 if location else 200, location)


def test_what_the_issuer_says_is_not_lost_on_the_way(start: Callable[..., Service]) -> None:
    event = found(rest("/", "dev", "/dev"), "/") | {
        "multiValueQueryStringParameters": {"code": ["a b"], "state": ["1"]}
    }
    answer = start(**KEYS).handler(event, Context())
    assert answer["headers"]["location"] == "./dev/?code=a+b&state=1"


def test_behind_a_base_path_the_files_are_found(start: Callable[..., Service]) -> None:
    handler = start(**KEYS).handler
    folder = folder_of(handler(http("/agents/", "$default", CUSTOM), Context())["body"])
    for event in (
        http(f"/agents/{folder}/main.js", "$default", CUSTOM),
        mapped(f"/a/{folder}/main.js", f"{folder}/main.js"),
    ):
        assert handler(event, Context())["statusCode"] == 200


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/", "/completion/", "/page/x/"])
def test_a_misspelt_path_is_no_base_path_of_the_page(start: Callable[..., Service], path: str) -> None:
    for event in (http(path, "$default", CUSTOM), rest(path, "dev", path, CUSTOM)):
        assert start(**KEYS).handler(event, Context())["statusCode"] in (401, 404), path


def test_without_it_nothing_of_it_is_there(service_app: Create) -> None:
    app = service_app(PAGE="0")
    assert {ask(app, path).status for path in ("/", "/page/0/main.js")} == {404}
    assert ask(service_app(PAGE="0", **KEYS), "/").status == 401
    service_app(PAGE="0").refuse_names(["page"])  # type: ignore[attr-defined]


def test_it_is_in_no_document_for_clients(service_app: Create) -> None:
    paths = service_app().openapi()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/page")]


@contextmanager
def issuer_with_endpoints() -> Iterator[Issuer]:
    with openid_issuer() as issuer:
        issuer.described |= {
            "authorization_endpoint": "https://login.example.com/oauth2/authorize",
            "token_endpoint": "https://tokens.example.com:444/oauth2/token",
        }
        yield issuer


def by_issuer(service_app: Create, issuer: str) -> FastAPI:
    return service_app(
        AUTH="jwt", JWT_ISSUER=issuer, JWT_AUDIENCE="agency", PAGE_CLIENT_ID="page", PAGE_SCOPE="openid api"
    )


def test_the_page_may_ask_the_issuer_where_one_signs_in(service_app: Create) -> None:
    """Its endpoints may be of another origin than its name: those of Cognito are."""
    with issuer_with_endpoints() as issuer:
        reply = ask(by_issuer(service_app, issuer.url), "/")
        known = known_by(text(reply))
        assert {name: known[name] for name in ("issuer", "audience", "client_id", "scope")} == {
            **{"issuer": issuer.url, "audience": "agency", "client_id": "page", "scope": "openid api"}
        }
        assert known["token_endpoint"] == "https://tokens.example.com:444/oauth2/token"
        assert "connect-src 'self' https://tokens.example.com:444;" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("wrong", ["javascript:alert(1)", "http://login.example.com/", "", None])
def test_an_endpoint_that_is_no_https_is_not_taken(service_app: Create, wrong: Any) -> None:
    with issuer_with_endpoints() as issuer:
        issuer.described["authorization_endpoint"] = wrong
        known = known_by(text(ask(by_issuer(service_app, issuer.url), "/")))
    assert "token_endpoint" not in known


def test_an_issuer_that_is_silent_is_not_waited_for(service_app: Create) -> None:
    import time

    with issuer_with_endpoints() as issuer:
        issuer.delay = 3
        app, began = by_issuer(service_app, issuer.url), time.monotonic()
        known = known_by(text(ask(app, "/")))
        assert time.monotonic() - began < 2.5
        assert (known["client_id"], "token_endpoint" in known) == ("page", False)


def test_the_settings_of_the_page_are_refused_where_they_mean_nothing(service_app: Create) -> None:
    with pytest.raises(ConfigurationError, match="PAGE_CLIENT_ID means nothing without AUTH=jwt"):
        service_app(PAGE_CLIENT_ID="x")


def test_settings_cannot_leave_their_attribute(service_app: Create) -> None:
    app = service_app(AUTH="jwt", JWT_ISSUER="https://i.example.com", JWT_AUDIENCE='"><script>x</script>{page}&quot;')
    page = text(ask(app, "/"))
    assert "<script>x" not in page
    assert known_by(page)["audience"] == '"><script>x</script>{page}&quot;'


def test_what_a_caller_has_sent_never_runs_as_a_page(start: Callable[..., Service]) -> None:
    from tests.library.files.forms import BOUNDARY, file_form

    service = start()
    event = rest_event("POST", "/v1/files", file_form(b"<script>alert(1)</script>", "a.html").decode())
    event["headers"]["content-type"] = event["multiValueHeaders"]["content-type"] = (
        f"multipart/form-data; boundary={BOUNDARY}"
    )
    event["multiValueHeaders"]["content-type"] = [event["headers"]["content-type"]]
    stored = json.loads(service.handler(event, Context())["body"])["id"]
    headers = service.handler(rest_event("GET", f"/v1/files/{stored}/content"), Context())["headers"]
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["x-content-type-options"] == "nosniff"
