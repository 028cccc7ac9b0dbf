"""What methods take. Other parameters are passed over, as versions to come may have them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agency_lambda.protocol.mcp.errors import INVALID_PARAMS, ProtocolError
from agency_lambda.protocol.mcp.messages import LONGEST_ID, Request, short_id

_Id = Annotated[str, Field(max_length=128)]
_InputResponses = Annotated[dict[_Id, Any], Field(max_length=100)]


class _Parameters(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Initialize(_Parameters):
    protocolVersion: str
    capabilities: dict[str, Any] = {}


class Page(_Parameters):
    cursor: str | None = None


class Task(_Parameters):
    taskId: _Id


class TaskUpdate(Task):
    inputResponses: _InputResponses


class Augmentation(_Parameters):
    """ttl: what the client would like; records have their own."""

    ttl: float | None = None


class Call(_Parameters):
    name: str
    arguments: dict[str, Any] | None = None
    task: Augmentation | None = None
    inputResponses: _InputResponses | None = None
    requestState: Annotated[str, Field(max_length=256)] | None = None


def parameters[T: _Parameters](kind: type[T], request: Request) -> T:
    """Raises ProtocolError."""
    try:
        return kind.model_validate(request.params)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:99]
        raise ProtocolError(INVALID_PARAMS, f"params.{place}: {first['msg']}") from None


def progress_token(request: Request) -> int | str | None:
    """Return the token of a client that wants to follow its request. Raises ProtocolError: it is too long."""
    sent = request.meta.get("progressToken")
    token = short_id(sent)
    if token is None and isinstance(sent, int | str) and not isinstance(sent, bool):
        raise ProtocolError(INVALID_PARAMS, f"params._meta.progressToken: at most {LONGEST_ID} characters")
    return token
