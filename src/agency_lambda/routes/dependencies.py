"""The dependencies of the routes: who calls, and what the caller may reach."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel

from agency_lambda.approvals.deciders import Client
from agency_lambda.errors import InvalidRequest, NotFound, OperatorRequired
from agency_lambda.history.conversations import Conversations
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.runs.idempotency_keys import IdempotentRequest
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.validators import OWNER
from lambda_loop import current_invocation

if TYPE_CHECKING:
    from agency_lambda.approvals.model import Approval
    from agency_lambda.protocol.file_links import FileLinks
    from agency_lambda.protocol.request import CreateResponse
    from agency_lambda.runs.client_run import ClientRun
    from agency_lambda.runs.model import StoredResponse
    from agency_lambda.runs.service import RunService


class _Caller:
    """One dependency, as each costs CPU."""

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def owner(self) -> str:
        return str(self._request.state.owner)

    @property
    def runs(self) -> "RunService":
        return self._request.app.state.runs()  # type: ignore[no-any-return]

    @property
    def client(self) -> Client:
        """Return who sends the request; its address is as the server or API Gateway knows it."""
        address = self._request.client.host if self._request.client else None
        return Client(str(self._request.state.owner), self._request.state.is_operator, address)

    @property
    def root_path(self) -> str:
        """Return the paths' prefix, such as an API Gateway's stage."""
        return str(self._request.scope.get("root_path", ""))

    @property
    def file_links(self) -> "FileLinks":
        """Return how protocols without files show those of an answer."""
        from agency_lambda.protocol.file_links import FileLinks  # few answers have some
        from agency_lambda.settings import get_settings

        url = self._request.url
        base_url = f"{url.scheme}://{url.netloc}{self.root_path}"
        return FileLinks(base_url if "files" in get_settings().protocols else None)

    def refuse_other_owner(self, owner: str | None) -> None:
        """Raises OperatorRequired, InvalidRequest."""
        if owner is not None and owner != self.owner:
            _check_operator(self._request)
            _check_name(owner)

    def log_if_operator(self, owner: str | None, response_id: str | None = None) -> None:
        """Log what an operator asks for. owner: None for all."""
        if self._request.state.is_operator:
            from agency_lambda import telemetry  # imports Powertools

            telemetry.log_operator(self.owner, self._request.scope["route"].name, owner, response_id)

    async def begin(
        self,
        request: "CreateResponse",
        idempotent: IdempotentRequest | None,
        render: Callable[[ResponseObject], Response],
        conversation_name: str | None = None,
    ) -> "ClientRun":
        """Begin a run that this client waits for, in whatever protocol it asks.

        Args:
            render: makes the answer of an invocation that ends before the run.
            conversation_name: the owner's name for a conversation, which this run begins or continues.
        """
        from agency_lambda.runs.client_run import ClientRun  # the first request that needs runs imports them

        runs, on_deadline = self.runs, partial(self._set_deadline_response, render=render)
        begun = await runs.create(request, self.owner, idempotent, conversation_name, on_deadline, self.client)
        return ClientRun(runs, self.owner, begun)

    def follow(self, stored: "StoredResponse") -> "ClientRun":
        """Return a run that was begun by another request."""
        from agency_lambda.runs.client_run import ClientRun

        return ClientRun(self.runs, self.owner, stored)

    async def undecided(self, waiting: "StoredResponse") -> "list[Approval]":
        """Return what a run waits for that a person has to decide."""
        from agency_lambda.approvals.queries import asked_in_messages, pending  # few runs ask

        place = self.runs.store, self.owner
        approvals = await pending(*place, (each["id"] for each in waiting.asked))
        if waiting.waits_for_child_runs:
            approvals += await asked_in_messages(*place, waiting.response["id"])
        return approvals

    def _set_deadline_response(
        self, response: ResponseObject | None, render: Callable[[ResponseObject], Response]
    ) -> None:
        """Set the answer of an invocation that ends first; None removes it."""
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


class _Operator(_Caller):
    """owner: whose data the request is about, "" for all."""

    def __init__(self, request: Request, owner: str) -> None:
        super().__init__(request)
        self._owner = owner

    @property
    def owner(self) -> str:
        return self._owner

    @property
    def operator(self) -> str:
        return str(self._request.state.owner)


async def _operator(request: Request) -> _Operator:
    """Log what an operator asks for. Raises OperatorRequired, InvalidRequest, NotFound."""
    _check_operator(request)
    given = request.path_params.get("owner", request.query_params.get("owner"))
    if given is not None:
        _check_name(given)
    response_id, runs = request.path_params.get("response_id"), request.app.state.runs()
    owner = given or ""
    if response_id and not owner:
        owner = await runs.owners.find(response_id) or ""
    from agency_lambda import telemetry  # imports Powertools

    telemetry.log_operator(
        request.state.owner, request.scope["route"].name, owner or None, response_id and response_id[:99]
    )
    if response_id and not owner:
        raise NotFound(f"Response with id {response_id[:99]!r} not found.")
    return _Operator(request, owner)


def _check_operator(request: Request) -> None:
    if not request.state.is_operator:
        raise OperatorRequired("Only operators may do this: their key, token or role is marked as one.")


def _check_name(owner: str) -> None:
    if not OWNER.fullmatch(owner):
        raise InvalidRequest(f"{owner[:99]!r} is no owner's name.", param="owner")


async def _caller(request: Request) -> _Caller:
    return _Caller(request)


async def _owner(request: Request) -> str:
    return str(request.state.owner)


Caller = Annotated[_Caller, Depends(_caller)]
Owner = Annotated[str, Depends(_owner)]
"""The owner of the key that a request came with: whose data it may see."""

Operator = Annotated[_Operator, Depends(_operator)]
"""For routes of operators only. The log says who asked for which route, whose data, and for which `response_id`."""
OwnerFilter = Annotated[str | None, Query(alias="owner", description="of one owner only")]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="for a day, the same key, route and body give the same response",
    ),
]


LastEventId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=-1, description="of a stream that broke: the `id` of the event received last"),
]


def idempotent_request(key: str | None, route: str, body: BaseModel) -> IdempotentRequest | None:
    """Return what has to be the same again; None without a key. route: see `IdempotentRequest`."""
    return None if key is None else IdempotentRequest(key, route, body.model_dump_json(exclude_unset=True).encode())
