from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import StreamingResponse

from agency_lambda.errors import NO_FILES, AnswerTooLarge, FilesNotConfigured, NotFound
from agency_lambda.protocol import bounds
from agency_lambda.protocol.lazy_types import LazyType
from agency_lambda.protocol.types import PURPOSES
from agency_lambda.record.index_pages import PageQuery, read_page
from agency_lambda.routes.dependencies import Caller
from agency_lambda.routes.paging import key_or_refuse
from agency_lambda.routes.strict import StrictRoute
from lambda_loop import current_invocation

if TYPE_CHECKING:
    from agency_lambda.files.model import StoredFile
    from agency_lambda.files.service import Files
    from agency_lambda.files.uploads import Uploads
    from agency_lambda.protocol.files import CompleteUpload, NewUpload
else:
    NewUpload = Annotated[Any, LazyType("agency_lambda.protocol.files", "NewUpload"), Body()]
    CompleteUpload = Annotated[Any, LazyType("agency_lambda.protocol.files", "CompleteUpload"), Body()]

_WHOLE = 4_500_000  # bytes that a function which answers whole can send, as base64
_FORM = "multipart/form-data"
_BINARY = {"type": "string", "format": "binary"}
_PURPOSE = {"type": "string", "enum": [*PURPOSES]}


router = APIRouter(prefix="/v1", route_class=StrictRoute)


def _form_of(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "required": [*properties], "properties": properties}
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema}}}}


@router.post("/files", response_model=None, openapi_extra=_form_of(file=_BINARY, purpose=_PURPOSE))
async def create_file(request: Request, caller: Caller) -> dict[str, Any]:
    """Store a file for 30 days, or as long as `expires_after` says."""
    from agency_lambda.protocol.files import parse_file

    files, body = _files(caller), await request.body()
    new = parse_file(request.headers.get("content-type", ""), body)
    stored = await files.create(caller.owner, new.name, new.content, purpose=new.purpose, seconds=new.seconds)
    return stored.resource


@router.get("/files", response_model=None)
async def list_files(
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(max_length=bounds.NAME, description="the `last_id` of the page before")] = None,
    purpose: Annotated[str | None, Query(max_length=bounds.NAME)] = None,
) -> dict[str, Any]:
    """List the files, newest first."""
    from agency_lambda.files.model import StoredFile, file_key, files_partition

    files, start = _files(caller), key_or_refuse(file_key, after, "after")
    query = PageQuery(limit=limit, descending=order == "desc", after=start)
    return await read_page(
        files.store,
        files_partition(caller.owner),
        query,
        lambda record: StoredFile.from_record(record).resource if purpose in (None, record.body["purpose"]) else None,
    )


@router.get("/files/{file_id}", response_model=None)
async def retrieve_file(file_id: str, caller: Caller) -> dict[str, Any]:
    """Return what is known of a file."""
    return (await _files(caller).get(caller.owner, file_id)).resource


@router.delete("/files/{file_id}", response_model=None)
async def delete_file(file_id: str, caller: Caller) -> dict[str, Any]:
    """Delete a file. Messages that name it stay, and models get a note in its place."""
    await _files(caller).delete(caller.owner, file_id)
    return {"id": file_id, "object": "file", "deleted": True}


@router.get("/files/{file_id}/content", response_model=None)
async def download_file(file_id: str, caller: Caller) -> StreamingResponse:
    """Return the bytes."""
    files = _files(caller)
    return await _download(files, await files.get(caller.owner, file_id))


@router.get("/containers/{container_id}/files/{file_id}/content", response_model=None)
async def download_container_file(container_id: str, file_id: str, caller: Caller) -> StreamingResponse:
    """Return the bytes of a file that an annotation names with its container."""
    files = _files(caller)
    file = await files.get(caller.owner, file_id)
    if file.container != container_id:
        raise NotFound(f"Container with id {container_id[:99]!r} not found.")
    return await _download(files, file)


@router.post("/uploads", response_model=None)
async def create_upload(caller: Caller, body: NewUpload) -> dict[str, Any]:
    """Begin to upload a file in parts, or by the form in `presigned_post`."""
    seconds = body.expires_after.seconds if body.expires_after else None
    return await _uploads(caller).create(body.filename, body.bytes, body.mime_type, body.purpose, seconds)


@router.post("/uploads/{upload_id}/parts", response_model=None, openapi_extra=_form_of(data=_BINARY))
async def add_part(upload_id: str, request: Request, caller: Caller) -> dict[str, Any]:
    """Add bytes to an upload."""
    from agency_lambda.protocol.files import parse_part

    uploads, body = _uploads(caller), await request.body()
    return await uploads.add_part(upload_id, parse_part(request.headers.get("content-type", ""), body))


@router.post("/uploads/{upload_id}/complete", response_model=None)
async def complete_upload(upload_id: str, caller: Caller, body: CompleteUpload) -> dict[str, Any]:
    """Make a file of the parts, in the order of `part_ids`."""
    return await _uploads(caller).complete(upload_id, body.part_ids, body.md5)


@router.post("/uploads/{upload_id}/cancel", response_model=None)
async def cancel_upload(upload_id: str, caller: Caller) -> dict[str, Any]:
    """Delete what an upload has brought."""
    return await _uploads(caller).cancel(upload_id)


def _files(caller: Caller) -> "Files":
    if caller.runs.files is None:
        raise FilesNotConfigured(NO_FILES)
    return caller.runs.files


def _uploads(caller: Caller) -> "Uploads":
    from agency_lambda.files.uploads import Uploads

    return Uploads(_files(caller), caller.owner)


async def _download(files: "Files", file: "StoredFile") -> StreamingResponse:
    invocation = current_invocation.get()
    if invocation and invocation.buffered and file.size > _WHOLE:
        raise AnswerTooLarge(f"This function answers whole, and with {_WHOLE:,} bytes of a file at most.")
    content = files.stream(file)
    first = await anext(content, b"")  # before the status is sent
    return StreamingResponse(_joined(first, content), media_type=file.media_type, headers=_headers(file))


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _headers(file: "StoredFile") -> dict[str, str]:
    plain = "".join(each if each.isascii() and each not in '"\\%' else "_" for each in file.name)
    return {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}",
        "content-length": str(file.size),
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-store",
    }
