"""/v1/files and /v1/uploads, as OpenAI's."""

import json
import re
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.settings import ConfigurationError, get_settings
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service
from tests.library.files.forms import file_form, form, form_event

NAMES = ("ann", "bob", "eve")
KEYS = ",".join(f"{name}:{sha256(name.encode()).hexdigest()}{':operator' * (name == 'eve')}" for name in NAMES)


def create(service: Service, content: bytes = b"hello", name: str = "a.txt", **headers: str) -> Any:
    status, file = service.send(form_event("/v1/files", file_form(content, name), **headers))
    assert status == 200, file
    return file


def download(service: Service, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    answer = service.handler(http_event("GET", path, **headers), Context(60))
    body = b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
    return answer["statusCode"], answer["headers"], body


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


def test_file_is_kept_shown_and_deleted(service: Service) -> None:
    file = create(service, b"\x89PNG\r\n\x1a\n\xff", 'ä "1".png')
    assert file["expires_at"] - file["created_at"] == 30 * 24 * 3600
    assert (file["filename"], file["status"], file["object"]) == ('ä "1".png', "processed", "file")
    assert service.get(f"/v1/files/{file['id']}") == (200, file)
    status, headers, body = download(service, f"/v1/files/{file['id']}/content")
    assert (status, body, headers["content-type"]) == (200, b"\x89PNG\r\n\x1a\n\xff", "image/png")
    assert headers["content-disposition"] == "attachment; filename=\"_ _1_.png\"; filename*=UTF-8''%C3%A4%20%221%22.png"
    assert headers["x-content-type-options"] == "nosniff"
    deleted = {"id": file["id"], "object": "file", "deleted": True}
    assert service.delete(f"/v1/files/{file['id']}") == (200, deleted)
    assert service.get(f"/v1/files/{file['id']}")[0] == 404


def test_file_that_is_a_page_is_not_shown_as_one(service: Service) -> None:
    file = create(service, b"<script>alert(1)</script>", "a.html")
    _, headers, _ = download(service, f"/v1/files/{file['id']}/content")
    assert headers["content-disposition"].startswith("attachment;")
    assert (headers["x-content-type-options"], headers["content-type"]) == ("nosniff", "text/html; charset=utf-8")
    assert "sandbox" in headers["content-security-policy"]


def test_empty_file(service: Service) -> None:
    file = create(service, b"")
    assert download(service, f"/v1/files/{file['id']}/content")[::2] == (200, b"")


def test_list_in_pages(service: Service) -> None:
    ids = [create(service, name=f"{number}.txt")["id"] for number in range(5)]
    seen, after = list[str](), ""
    while True:
        _, page = service.get(f"/v1/files?limit=2{after}")
        seen += [each["id"] for each in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert seen == ids[::-1]
    assert [each["id"] for each in service.get("/v1/files?order=asc")[1]["data"]] == ids
    assert service.get("/v1/files?purpose=vision")[1]["data"] == []
    assert len(service.get("/v1/files?purpose=user_data&limit=5")[1]["data"]) == 5
    assert service.get("/v1/files?after=file-1")[0] == 400


def test_everything_is_its_owners_alone(start: Callable[..., Service]) -> None:
    service = start(API_KEYS=KEYS)
    file = create(service, **bearer("ann"))
    new = {"bytes": 1, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"}
    upload = service.post("/v1/uploads", new, **bearer("ann"))[1]
    part = form_event(f"/v1/uploads/{upload['id']}/parts", form(("data", "x")))
    for other in ("bob", "eve"):  # an operator is a caller like any
        key = bearer(other)
        assert service.get("/v1/files", **key)[1]["data"] == []
        for event in (
            http_event("GET", f"/v1/files/{file['id']}", **key),
            http_event("GET", f"/v1/files/{file['id']}/content", **key),
            http_event("DELETE", f"/v1/files/{file['id']}", **key),
            http_event("GET", f"/v1/containers/x/files/{file['id']}/content", **key),
            http_event("POST", f"/v1/uploads/{upload['id']}/complete", {"part_ids": []}, **key),
            http_event("POST", f"/v1/uploads/{upload['id']}/cancel", **key),
            {**part, "headers": {**part["headers"], **key}},
        ):
            status, theirs = service.send(event)
            never = json.loads(re.sub(r"(file-|upload_)[0-9a-f]{32}", r"\g<1>never", json.dumps(event)))
            never_was = service.send(never)[1]
            assert status == 404
            assert {**theirs["error"], "message": ""} == {**never_was["error"], "message": ""}
    assert service.get(f"/v1/files/{file['id']}", **bearer("ann")) == (200, file)
    assert service.post(f"/v1/uploads/{upload['id']}/cancel", None, **bearer("ann"))[0] == 200


def test_upload_in_parts(service: Service) -> None:
    new = {"bytes": 6, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"}
    upload = service.post("/v1/uploads", new)[1]
    path = f"/v1/uploads/{upload['id']}"
    parts = [service.send(form_event(f"{path}/parts", form(("data", text))))[1]["id"] for text in ("abc", "def")]
    status, done = service.post(f"{path}/complete", {"part_ids": parts})
    assert (status, done["status"]) == (200, "completed")
    assert download(service, f"/v1/files/{done['file']['id']}/content")[2] == b"abcdef"
    status, answer = service.send(form_event(f"{path}/parts", form(("data", "x"))))
    assert (status, answer["error"]["code"]) == (404, "not_found")


def test_without_a_place_for_files_the_routes_say_so(start: Callable[..., Service]) -> None:
    service = start(API_KEYS=KEYS, AWS_LAMBDA_FUNCTION_NAME="api", STORE="sqlite:////tmp/agency-lambda-none.db")
    for event in (
        form_event("/v1/files", file_form(b"x"), **bearer("ann")),
        http_event("GET", "/v1/files", **bearer("ann")),
        http_event("POST", "/v1/uploads/x/cancel", **bearer("ann")),
    ):
        status, answer = service.send(event)
        assert (status, answer["error"]["code"]) == (404, "files_not_configured")
        assert "FILES" in answer["error"]["message"]


def test_files_lie_beside_the_store_unless_a_setting_says_where(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert get_settings().files == (tmp_path / "files").as_uri()
    for wrong in ("files", "file://x", "s3://", "s3://B/x", "https://x"):
        clean_environment.setenv("FILES", wrong)
        get_settings.cache_clear()
        with pytest.raises(ConfigurationError, match="FILES must be"):
            get_settings()


def test_large_file_from_a_function_that_answers_whole(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    file = create(service, b"\xff" * 4_000_000, "a.bin")
    assert len(download(service, f"/v1/files/{file['id']}/content")[2]) == 4_000_000
    monkeypatch.setattr("agency_lambda.routes.files._WHOLE", 3_999_999)
    refused = service.handler(http_event("GET", f"/v1/files/{file['id']}/content"), Context(9))
    assert (refused["statusCode"], json.loads(refused["body"])["error"]["code"]) == (500, "answer_too_large")
    assert refused["headers"]["x-should-retry"] == "false"
