"""Finds out what a request means for its thread: a new run, one that goes on, or one to follow."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from fastapi import Response

from agency_lambda.approvals.decided import DecidedApproval
from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.queries import find
from agency_lambda.errors import ConversationBusy, InvalidRequest, NotFound
from agency_lambda.files.inputs import PARTS
from agency_lambda.protocol.ag_ui import messages, thread
from agency_lambda.protocol.ag_ui.interrupts import DECISION_NAMES, answer_item
from agency_lambda.protocol.ag_ui.messages import Placed
from agency_lambda.protocol.ag_ui.parts import file_ids
from agency_lambda.protocol.ag_ui.request import Message, RunInput
from agency_lambda.protocol.client_names import ClientNames
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.routes.dependencies import Caller
from agency_lambda.runs.client_run import ClientRun
from agency_lambda.runs.idempotency_keys import IdempotentRequest
from agency_lambda.runs.model import StoredResponse

type Render = Callable[[ResponseObject], Response]

_CLIENTS = ("user", "tool", "system", "developer")  # roles of messages that no run makes
_NAMES = {r"input(?!\[)": "messages", "model": "", "previous_response_id": ""}
_MOST_READ = 3  # responses, to find the one that the messages continue
_WAITS = "This thread waits for a person: answer its interrupts in 'resume', or cancel all of them there."


class Thread:
    """The run that a request begins, continues or follows.

    render: makes the answer of an invocation that ends before the run.
    """

    def __init__(self, body: RunInput, model: str, caller: Caller, render: Render) -> None:
        self._body, self._model, self._caller, self._render = body, model, caller, render

    async def begin(self) -> ClientRun:
        """Raises ServiceError."""
        with ClientNames(_NAMES).applied():
            return await self._resumed() or await self._new()

    async def _new(self) -> ClientRun:
        body, new = self._body, messages.conversation(self._body.known)
        options: dict[str, Any] = {"tools": messages.tools(body), "instructions": messages.instructions(body)}
        options["metadata"] = thread.metadata(body)
        awaited: list[str] = []
        if found := await self._continued(new):
            stored, new = found
            options["previous_response_id"] = stored.response["id"]
            awaited = thread.unanswered_calls(stored.response["output"])
        items = messages.to_items(new, len(body.known) - len(new), await self._files(new), awaited)
        if not items:
            raise InvalidRequest("'messages' has nothing that the agents have not answered.", param="messages")
        return await self._begin(items, options)

    async def _files(self, new: list[Message]) -> dict[str, str]:
        """Return as which part each of the caller's files is sent; a file that is not there fails no run."""
        files, ids = self._caller.runs.files, file_ids(new)
        found = [await files.find(self._caller.owner, each) for each in sorted(ids)] if files else []
        return {file.id: PARTS[file.kind] for file in found if file and file.kind in PARTS}

    async def _begin(self, items: list[Placed], options: dict[str, Any], *, is_last: bool = True) -> ClientRun:
        given = {name: value for name, value in options.items() if value}
        key = thread.request_key(self._body, self._model)
        idempotent = IdempotentRequest(key, "/ag-ui", b"") if is_last else None
        with ClientNames(_NAMES, [place for place, _ in items]).applied():
            sent = [item for _, item in items]
            request = CreateResponse(model=self._model, input=sent, stream=True, **given)
            return await self._caller.begin(request, idempotent, self._render)

    async def _continued(self, new: list[Message]) -> tuple[StoredResponse, list[Message]] | None:
        """Return the response that the client continues, and the messages behind it."""
        for response_id in thread.responses_of(new)[:_MOST_READ]:
            stored = await self._find(response_id)
            # A run that is repeated does not continue itself.
            if stored is None or stored.response["metadata"].get(thread.RUN) == self._body.run_id:
                continue
            rest = thread.rest_behind(new, stored.response)
            if rest is None or _agency(stored.response["model"]) != _agency(self._model):
                continue
            if last := await self._last(stored):
                return last, rest
        return None

    async def _last(self, stored: StoredResponse) -> StoredResponse | None:
        """Return the response whose history a new run continues. Raises ConversationBusy."""
        last = await self._caller.responses.last(stored.continued_by) if stored.continued_by else stored
        if last.response["status"] not in FINAL:
            if await self._caller.undecided(last):
                raise ConversationBusy(_WAITS)
            if last is not stored:
                raise ConversationBusy("A run of this thread goes on after an approval. Try again when it has ended.")
        return next((each for each in (last, stored) if each.cursor), None)

    async def _find(self, response_id: str) -> StoredResponse | None:
        try:
            return await self._caller.responses.get(response_id)
        except NotFound:
            return None

    async def _resumed(self) -> ClientRun | None:
        """Return the run that goes on with the answers; None if there is none."""
        place, entries = (self._caller.runs.store, self._caller.owner), self._body.resume or []
        found = [await find(*place, entry.interrupt_id) for entry in entries]
        known = [each for each in found if each]
        if not known:
            return None  # what nobody has asked does not fail a run
        stored = await self._caller.responses.get(_shown_in(known[0]))
        if stored.response["metadata"].get(thread.THREAD) != self._body.thread_id:
            raise InvalidRequest("That was asked in another thread.", param="threadId")
        is_abandoned = all(entry.status == "cancelled" for entry in entries)
        if self._has_new_messages(stored):
            await self._abandon(stored, is_abandoned=is_abandoned)
            return None
        pending = [(n, each) for n, each in enumerate(found) if isinstance(each, Approval)]
        if not pending:
            return self._caller.follow(await self._follower(stored))
        return await self._answer(pending, stored)

    def _has_new_messages(self, stored: StoredResponse) -> bool:
        rest = thread.rest_behind(self._body.known, stored.response) or []
        return any(message["role"] in _CLIENTS for message in rest)

    async def _abandon(self, stored: StoredResponse, *, is_abandoned: bool) -> None:
        if not is_abandoned:
            raise InvalidRequest("Answer the interrupts first, and send the new messages afterwards.", param="resume")
        response = await self._caller.runs.cancel(self._caller.owner, stored.response["id"])
        if response["status"] not in FINAL:
            raise ConversationBusy(_WAITS)

    async def _follower(self, stored: StoredResponse) -> StoredResponse:
        return await self._caller.responses.get(stored.continued_by) if stored.continued_by else stored

    async def _answer(self, pending: list[tuple[int, Approval]], stored: StoredResponse) -> ClientRun:
        # Each run is answered by itself, and last the one that this request executes then.
        run: ClientRun | None = None
        by_run = groupby(sorted(pending, key=_order), key=lambda each: each[1].run)
        answers = [(run_id, [self._item(*each) for each in asked]) for run_id, asked in by_run]
        for number, (run_id, items) in enumerate(answers, 1):
            options: dict[str, Any] = {"previous_response_id": stored.response["id"]}
            if not await self._keeps_its_id(run_id):
                options["metadata"] = thread.metadata(self._body)
            run = await self._begin(items, options, is_last=number == len(answers))
        assert run
        return run

    async def _keeps_its_id(self, run_id: str) -> bool:
        """Return whether a run goes on under its own id, and so with its own metadata."""
        waiting = await self._caller.responses.get(run_id)
        return bool(waiting.sending or waiting.continues is None or waiting.response["output"])

    def _item(self, number: int, approval: Approval) -> Placed:
        entry, param = (self._body.resume or [])[number], f"resume[{number}].payload"
        return (param, DECISION_NAMES), answer_item(entry, approval.request, param)


def _order(asked: tuple[int, Approval]) -> tuple[bool, str]:
    return asked[1].root_response_id is None, asked[1].run


def _shown_in(approval: Approval | DecidedApproval) -> str:
    return approval.root_response_id or approval.response_id


def _agency(model: str) -> str:
    return model.partition("/")[0]
