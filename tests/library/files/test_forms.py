"""Forms as clients send them, and as nobody should."""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from agency_lambda.errors import InvalidRequest, ServiceError
from agency_lambda.protocol import bounds
from agency_lambda.protocol.files import parse_file, parse_part
from agency_lambda.protocol.multipart import parse_form
from agency_lambda.testing.events import http_event
from tests.library.conftest import Service
from tests.library.files.forms import BOUNDARY, file_form, form, form_event

TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.mark.parametrize("name", ['a "b".txt', "ä.txt", "a;b=c.txt", "a\\b.txt", "100%.txt"])
def test_form_of_httpx(name: str) -> None:
    request = httpx.Request("POST", "http://x", files={"file": (name, b"--x\r\n\0")}, data={"purpose": "user_data"})
    new = parse_file(request.headers["content-type"], request.read())
    assert (new.name, new.content, new.purpose) == (name, b"--x\r\n\0", "user_data")


def test_form_of_curl_and_of_older_clients() -> None:
    head = b'Content-Disposition: form-data; name="file"; filename="a \\"b\\".txt"\r\nContent-Type: text/plain\r\n\r\n'
    body = b"--" + BOUNDARY.encode() + b"\r\n" + head + b"x\r\n--" + BOUNDARY.encode() + b"--\r\n"
    assert parse_form(TYPE, body)["file"].filename == 'a "b".txt'
    older = body.replace(b'filename="a \\"b\\".txt"', b"filename*=UTF-8''%C3%A4.txt")
    assert parse_form(f"{TYPE.replace('=', '=')}; charset=utf-8".replace("; charset", "; charset"), older)
    assert parse_form(f'multipart/form-data; charset=utf-8; boundary="{BOUNDARY}"', older)["file"].filename == "ä.txt"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ([("purpose", "user_data")], "missing_required_parameter", "file"),
        ([("file", "x")], "missing_required_parameter", "purpose"),
        ([("file", "x"), ("purpose", "batch")], "invalid_request", "purpose"),
        ([("file", "x"), ("purpose", b"\xff")], "invalid_request", "purpose"),
        ([("file", "x"), ("purpose", "user_data"), ("foo", "1")], "unsupported_parameter", "foo"),
        ([("file", "x"), ("purpose", "user_data"), ("file", "y")], "invalid_request", "file"),
        *(
            ([("file", "x"), ("purpose", "user_data"), *more], "invalid_request", f"expires_after[{param}]")
            for more, param in (
                ([("expires_after[seconds]", "3600")], "anchor"),
                ([("expires_after[anchor]", "now"), ("expires_after[seconds]", "3600")], "anchor"),
                ([("expires_after[anchor]", "created_at")], "seconds"),
                *(
                    ([("expires_after[anchor]", "created_at"), ("expires_after[seconds]", each)], "seconds")
                    for each in ("3599", "2592001", "-1", "1e4", "٣٦٠٠", "9" * 5_000, "000003600999999", "0" * 400)
                ),
            )
        ),
    ],
)
def test_field_that_is_wrong_is_named(fields: list[tuple[str, str | bytes]], code: str, param: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_file(TYPE, form(*fields))
    assert (refused.value.code, refused.value.param) == (code, param)


def hostile(seed: int) -> Iterator[bytes]:
    """Bodies that cost a careless parser much, and mutations of a right one."""
    chance, mark = random.Random(seed), b"--" + BOUNDARY.encode()
    big = bounds.BODY - 200
    yield b""
    yield mark
    yield mark + b"--"
    yield (mark + b"\r\n") * (big // len(mark + b"\r\n"))
    yield form(*((f"f{number}", "") for number in range(40_000)))
    yield mark + b"\r\n" + b"a: b\r\n" * (big // 6)
    yield mark + b"\r\ncontent-disposition: form-data; " + b'name="' * (big // 6)
    yield mark + b'\r\ncontent-disposition: form-data; name="' + b"\\" * 1_900 + b'"\r\n\r\nx\r\n' + mark + b"--"
    yield mark + b"\r\ncontent-disposition: form-data" + b"; a=b" * 380 + b"\r\n\r\nx\r\n" + mark + b"--"
    yield mark + b"\r\n\r\n" + (b"\r\n" + mark[:-1]) * (big // len(mark + b"\r"))
    yield mark + b"\r\n\r\n" + b"\r\n" * (big // 2)
    yield mark + b"\r\n\r\n" + b"\r\n" + b"-" * (big - 40)
    right = file_form(b"hello" * 10)
    for _ in range(300):
        mutated = bytearray(right)
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(mutated))
            mutated[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        yield bytes(mutated)


def test_hostile_forms_cost_little() -> None:
    for number, body in enumerate(hostile(1)):
        began = time.process_time()
        try:
            parse_file(TYPE, body)
        except ServiceError as error:
            assert error.status in (400, 413)  # noqa: PT017
        assert time.process_time() - began < 0.2, number


def test_boundary_of_one_repeated_letter_costs_little() -> None:
    boundary = "-" * 69 + "x"
    body = b"--" + boundary.encode() + b"\r\n\r\n" + b"-" * (bounds.BODY - 200)
    began = time.process_time()
    with pytest.raises(InvalidRequest):
        parse_form(f"multipart/form-data; boundary={boundary}", body)
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    "kind", ["", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x"]
)
def test_what_is_no_form_is_refused(kind: str) -> None:
    for parse in (parse_file, parse_part):
        with pytest.raises(InvalidRequest):
            parse(kind, b"--x\r\n")


def test_form_with_a_nul_and_much_structure_is_taken(service: Service) -> None:
    """What would be refused as JSON is the bytes of a file here."""
    content = b"\0" + b"[" * 4_000_000
    status, file = service.send(form_event("/v1/files", file_form(content, "a.bin")))
    assert (status, file["bytes"]) == (200, len(content))
    for path in ("/v1/responses", "/v1/uploads", "/completion", "/v1/uploads/upload_1/complete", "/v1/files/parts"):
        status, answer = service.send(form_event(path, file_form(b"[" * 100_000)))
        assert (status, answer["error"].get("param")) in [(400, None), (405, None)], path


def test_hostile_forms_are_refused_by_the_service(service: Service) -> None:
    for body in [*hostile(2)][:30]:
        status, answer = service.send(form_event("/v1/files", body))
        assert status in (200, 400, 413)
        assert status == 200 or answer["error"]["message"]


def test_nobody_without_a_key_has_a_form_read(start: Callable[..., Service]) -> None:
    service = start(API_KEYS=f"ann:{'0' * 64}")
    for body in (file_form(b"x"), b"x" * (bounds.BODY + 1)):
        assert service.send(form_event("/v1/files", body))[0] == 401


def test_file_over_the_bound_is_told_of_uploads(service: Service) -> None:
    assert service.send(form_event("/v1/files", file_form(b"x" * bounds.FILE_PART)))[0] == 200
    for content in (b"x" * (bounds.FILE_PART + 1), b"x" * (bounds.BODY + 1)):
        status, answer = service.send(form_event("/v1/files", file_form(content)))
        assert status == 413
        assert "/v1/uploads" in answer["error"]["message"]


def test_page_of_another_origin_sends_no_form(start: Callable[..., Service]) -> None:
    """A browser asks before it sends JSON, and sends a form without asking."""
    service = start(CORS_ORIGINS="https://app.example.com")
    origins = {"http://localhost": 200, "https://app.example.com": 200, "https://evil.example": 403, "null": 403}
    for origin, status in origins.items():
        assert service.send(form_event("/v1/files", file_form(b"x"), origin=origin))[0] == status
    assert len(service.get("/v1/files")[1]["data"]) == 2


def test_wrong_types_of_uploads(service: Service) -> None:
    right = {"bytes": 1, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"}
    wrong: list[dict[str, Any]] = [
        {"bytes": 0},
        {"bytes": "1"},
        {"bytes": bounds.FILE + 1},
        {"filename": ""},
        {"mime_type": "text/plain\r\nx: y"},
        {"purpose": "batch"},
        {"expires_after": {"anchor": "created_at", "seconds": 1}},
        {"expires_after": {"anchor": "created_at", "seconds": 3600, "more": 1}},
        {"part_ids": []},
    ]
    for each in wrong:
        status, answer = service.post("/v1/uploads", {**right, **each})
        assert (status, answer["error"]["param"].partition(".")[0]) == (400, next(iter(each))), each
    assert service.post("/v1/uploads", {**right, "expires_after": None})[0] == 200
    assert service.send(http_event("POST", "/v1/uploads/upload_1/complete", {"part_ids": "x"}))[0] == 400
