from typing import Any, Literal

from pydantic import BaseModel, Field

from agency_lambda.openapi.lists import Page


class File(BaseModel):
    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: Literal["user_data", "vision", "assistants", "assistants_output"]
    status: Literal["processed"]


class FileList(Page):
    data: list[File]


class DeletedFile(BaseModel):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


class PresignedPost(BaseModel):
    """A form that stores the bytes: `fields`, and behind them the file."""

    url: str
    fields: dict[str, str]


class Upload(BaseModel):
    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled"]
    file: File | None
    presigned_post: PresignedPost | None = Field(default=None, description="where files are in S3, until it expires")


class UploadPart(BaseModel):
    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str


BINARY: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
