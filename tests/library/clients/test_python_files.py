"""OpenAI's Python client and the caller's files."""

import io
from base64 import b64encode

import openai
import pytest
from openai.types.responses import ResponseInputFileParam, ResponseInputTextParam

from tests.library.clients.server import MODEL, Server

PNG = b"\x89PNG\r\n\x1a\n\0\xff"


def test_a_file_is_created_listed_read_and_deleted(client: openai.OpenAI) -> None:
    file = client.files.create(
        file=("ä.png", PNG), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (file.filename, file.bytes, file.purpose, file.status) == ("ä.png", len(PNG), "user_data", "processed")
    assert file.expires_at == file.created_at + 3600
    assert client.files.retrieve(file.id) == file
    assert file in list(client.files.list(purpose="user_data"))
    content = client.files.content(file.id)
    assert (content.read(), content.response.headers["content-type"]) == (PNG, "image/png")
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.content(file.id)


def test_pages_of_files(client: openai.OpenAI) -> None:
    made = [client.files.create(file=(f"{number}.txt", b"x"), purpose="vision").id for number in range(5)]
    listed = client.files.list(purpose="vision", limit=2, order="asc")
    assert len(listed.data) == 2
    ids = [each.id for each in listed]  # the client follows `after`; other tests of this server may have made some
    assert [each for each in ids if each in made] == made


def test_a_file_object_of_any_kind(client: openai.OpenAI) -> None:
    for content in (b"text", io.BytesIO(b"text"), ("a.txt", "text", "text/plain")):
        file = client.files.create(file=content, purpose="user_data")  # type: ignore[arg-type]
        assert client.files.content(file.id).text == "text"


def test_a_large_file_is_uploaded_in_parts(client: openai.OpenAI) -> None:
    content = b"0123456789abcdef" * 400_000
    with pytest.raises(openai.APIStatusError, match="/v1/uploads") as refused:
        client.files.create(file=("a.txt", content), purpose="user_data")
    assert refused.value.status_code == 413
    upload = client.uploads.upload_file_chunked(
        file=content,
        filename="a.txt",
        bytes=len(content),
        mime_type="text/plain",
        purpose="user_data",
        part_size=4 * 1024 * 1024,
    )
    assert upload.status == "completed"
    assert upload.file
    assert client.files.content(upload.file.id).read() == content


def test_another_owners_file_is_not_there(client: openai.OpenAI, server: Server) -> None:
    file = client.files.create(file=("a.txt", b"mine"), purpose="user_data")
    with openai.OpenAI(**server.options(server.stranger)) as stranger:
        for use in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
            with pytest.raises(openai.NotFoundError):
                use(file.id)
        assert file.id not in [each.id for each in stranger.files.list()]
        with pytest.raises(openai.NotFoundError):
            ask(stranger, file.id)


def test_a_response_reads_a_file(client: openai.OpenAI) -> None:
    file = client.files.create(file=("a.md", b"# Title"), purpose="user_data")
    response = ask(client, file.id)
    assert response.status == "completed"
    (item,) = client.responses.input_items.list(response.id).data
    assert b64encode(b"# Title").decode() not in item.model_dump_json()
    assert file.id in item.model_dump_json()


def ask(client: openai.OpenAI, file_id: str) -> openai.types.responses.Response:
    text: ResponseInputTextParam = {"type": "input_text", "text": "What is it?"}
    file: ResponseInputFileParam = {"type": "input_file", "file_id": file_id}
    return client.responses.create(model=MODEL, input=[{"role": "user", "content": [text, file]}])
