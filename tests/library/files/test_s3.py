"""The service with its files in S3: whole, in parts, and by the form that a client sends to the bucket itself."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from agency_lambda.testing.aws import bucket
from tests.library.conftest import Service
from tests.library.files.forms import file_form, form, form_event
from tests.library.files.test_routes import download

NEW = {"bytes": 5, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"}


@pytest.fixture
def stored(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Service, Any, str]]:
    """The service, and what reads its bucket behind its back."""
    with bucket() as (name, client, environment):
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        yield start(FILES=f"s3://{name}"), client, name


def keys(client: Any, name: str) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket=name).get("Contents", [])]


def test_file_is_an_object_until_it_is_deleted(stored: tuple[Service, Any, str]) -> None:
    service, client, name = stored
    _, file = service.send(form_event("/v1/files", file_form(b"\0hello", "a.bin")))
    assert keys(client, name) == [file["id"]]
    assert download(service, f"/v1/files/{file['id']}/content")[::2] == (200, b"\0hello")
    assert service.delete(f"/v1/files/{file['id']}")[0] == 200
    assert keys(client, name) == []


def test_parts_are_objects_until_the_file_is_deleted(stored: tuple[Service, Any, str]) -> None:
    service, client, name = stored
    path = f"/v1/uploads/{service.post('/v1/uploads', NEW)[1]['id']}"
    parts = [service.send(form_event(f"{path}/parts", form(("data", text))))[1]["id"] for text in ("he", "llo")]
    _, done = service.post(f"{path}/complete", {"part_ids": parts})
    file_id = done["file"]["id"]
    assert download(service, f"/v1/files/{file_id}/content")[2] == b"hello"
    assert keys(client, name) == [f"{file_id}.0", f"{file_id}.1"]
    assert service.delete(f"/v1/files/{file_id}")[0] == 200
    assert keys(client, name) == []


def test_client_sends_the_form_itself(stored: tuple[Service, Any, str]) -> None:
    service, client, name = stored
    upload = service.post("/v1/uploads", NEW)[1]
    path, sent_form = f"/v1/uploads/{upload['id']}", upload["presigned_post"]
    status, answer = service.post(f"{path}/complete", {"part_ids": []})
    assert (status, answer["error"]["param"]) == (400, "part_ids")  # nothing is there yet
    assert service.get("/v1/files")[1]["data"] == []
    sent = httpx.post(sent_form["url"], data=sent_form["fields"], files={"file": ("a.txt", b"hello")})
    assert sent.is_success
    status, done = service.post(f"{path}/complete", {"part_ids": []})
    assert (status, done["file"]["bytes"]) == (200, 5)
    httpx.post(sent_form["url"], data=sent_form["fields"], files={"file": ("a.txt", b"<svg>")})  # once more
    assert download(service, f"/v1/files/{done['file']['id']}/content")[2] == b"hello"
    assert service.delete(f"/v1/files/{done['file']['id']}")[0] == 200
    assert keys(client, name) == []


def test_form_cannot_make_a_page_an_image(stored: tuple[Service, Any, str]) -> None:
    service, client, name = stored
    upload = service.post("/v1/uploads", {**NEW, "filename": "a.png", "mime_type": "image/png"})[1]
    sent_form = upload["presigned_post"]
    httpx.post(sent_form["url"], data=sent_form["fields"], files={"file": ("a.png", b"<svg>")})
    status, answer = service.post(f"/v1/uploads/{upload['id']}/complete", {"part_ids": []})
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert service.post(f"/v1/uploads/{upload['id']}/cancel", None)[0] == 200
    assert keys(client, name) == []
