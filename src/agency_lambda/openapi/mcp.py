"""Messages of the Model Context Protocol, and who issues its tokens."""

from typing import Any, Literal

from pydantic import BaseModel

from agency_lambda.exception_handlers import FailureAnswer


class McpError(BaseModel):
    code: int
    message: str
    data: Any = None


class McpMessage(BaseModel):
    """A JSON-RPC message: a request, a notification (without `id`), or a response (without `method`)."""

    jsonrpc: Literal["2.0"]
    id: int | str | None = None
    method: str | None = None
    params: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: McpError | None = None


type McpBody = McpMessage | list[McpMessage]
type McpFailure = McpMessage | FailureAnswer


class ProtectedResource(BaseModel):
    """What RFC 9728 has of a server that takes tokens."""

    resource: str
    authorization_servers: list[str]
    bearer_methods_supported: list[str]
    resource_name: str
