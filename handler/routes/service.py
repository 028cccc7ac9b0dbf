"""What routes need of the environment, said in their signatures."""

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel

if TYPE_CHECKING:
    from handler.runs import Runs


async def _runs(request: Request) -> "Runs":
    runs: Runs = request.app.state.runs()
    return runs


async def _root_path(request: Request) -> str:
    """What a client writes before our paths: the stage of an API Gateway, or nothing."""
    return str(request.scope.get("root_path", ""))


Service = Annotated["Runs", Depends(_runs)]
RootPath = Annotated[str, Depends(_root_path)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="for a day, the same key and body give the same response",
    ),
]


def once(key: str | None, body: BaseModel) -> tuple[str, bytes] | None:
    """An idempotency key and the request that it stands for."""
    return None if key is None else (key, body.model_dump_json(exclude_unset=True).encode())
