from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from agency_lambda.auth import with_security_scheme
from agency_lambda.history.conversations import Conversations
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.runs.stored_responses import Responses
from lambda_loop import current_invocation

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService


class _Caller:
    """The caller of a request and their data. It is one dependency, as each costs CPU."""

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def owner(self) -> str:
        """Return the owner of the key."""
        return str(self._request.state.owner)

    @property
    def runs(self) -> "RunService":
        return self._request.app.state.runs()  # type: ignore[no-any-return]

    @property
    def root_path(self) -> str:
        """Return the prefix of the paths, such as the stage of an API Gateway."""
        return str(self._request.scope.get("root_path", ""))

    def set_deadline_response(
        self, response: ResponseObject | None, render: Callable[[ResponseObject], Response]
    ) -> None:
        """Set what an invocation answers that ends before its run does: `render(response)`; None removes it."""
        invocation = current_invocation.get()
        if invocation is None:
            return
        wrapped = self._request.app.in_outermost  # it does not pass the app's middleware
        invocation.deadline_response = None if response is None else lambda: wrapped(render(response))

    @property
    def responses(self) -> "Responses":
        return Responses(self.runs.store, self.owner)

    @property
    def conversations(self) -> "Conversations":
        return Conversations(self.runs.store, self.owner)


async def _caller(request: Request) -> _Caller:
    return _Caller(request)


async def _owner(request: Request) -> str:
    return str(request.state.owner)


Caller = Annotated[_Caller, Depends(with_security_scheme(_caller))]
Owner = Annotated[str, Depends(with_security_scheme(_owner))]
"""The owner of the key that a request came with: whose data it may see."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="for a day, the same key and body give the same response",
    ),
]


def idempotent_request(key: str | None, body: BaseModel) -> tuple[str, bytes] | None:
    """Return an Idempotency-Key header with the body of its request as JSON."""
    return None if key is None else (key, body.model_dump_json(exclude_unset=True).encode())
