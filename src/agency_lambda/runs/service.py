"""How a run begins: everything that can be refused is refused here, before anything is kept or asked.

Polling and submitting come here too, so what needs the framework is imported by the functions that use it.
"""

import asyncio
import logging
import math
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from agency_lambda import catalogue
from agency_lambda.errors import (
    AttemptsExhausted,
    ConversationBusy,
    InvalidRequest,
    NotFound,
    SecretUnavailable,
    ServiceError,
    StoreUnavailable,
    UnsupportedParameter,
    error_from_field,
)
from agency_lambda.history.conversations import Conversations, busy
from agency_lambda.history.turns import HistoryCursor, load_history, load_turns
from agency_lambda.protocol import response_object
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.items import parse_items, to_agent_input
from agency_lambda.protocol.request import CompactRequest, CreateResponse
from agency_lambda.protocol.types import Item
from agency_lambda.queue import Queue, open_queue
from agency_lambda.runs.attempt import MOST_ATTEMPTS, Attempt, HandedOver
from agency_lambda.runs.following import seconds_to_wait
from agency_lambda.runs.idempotency_keys import IdempotencyKeys
from agency_lambda.runs.item_references import resolve_references
from agency_lambda.runs.leases import Lease, Leases
from agency_lambda.runs.repository import OutcomeUncertain, RunRepository, new_lease
from agency_lambda.runs.stored_responses import Responses, StoredRequest, StoredResponse
from agency_lambda.runs.validation import refuse_empty, refuse_loose_ends
from agency_lambda.settings import Settings
from agency_lambda.store import Change, Conflict, Store, open_store
from lambda_loop import seconds_remaining

if TYPE_CHECKING:
    from agency_lambda.framework.models import Models
    from agency_lambda.runs.journal import Journal

logger = logging.getLogger(__name__)
_TO_WRITE = 10.0  # seconds for the first write of a run
_TO_SEND = 3.0  # seconds for the queue to take a message
_TO_FIND_OUT = 3.0  # seconds to ask the store what became of a write that has failed
_TO_CANCEL = 10.0  # seconds that a request waits for a run to end
_LOOK = 1.0  # seconds between looks whether the lease of such a run has ended
_NOT_YET = 5.0  # seconds until somebody looks again whether it is a run's turn; who is before it, says so earlier


class _Prepared(NamedTuple):
    """A run that nobody knows of yet, and the changes that make it known.

    run: None if it will be made elsewhere. kept: None if it is not stored.
    """

    response: response_object.ResponseObject
    kept: StoredResponse | None
    run: "Attempt | None"
    changes: list[Change]


class RunService:
    """Made once per environment: what is shared is the model client, the store and the queue, never an agency."""

    def __init__(self, settings: Settings, *, secrets: Mapping[str, str] | None = None) -> None:
        self._settings, self._secrets = settings, secrets
        self.store: Store = open_store(settings.store)
        self.queue: Queue = open_queue(settings.queue)

    @cached_property
    def _models(self) -> "Models":
        """Made by the first run: who only looks or submits waits for no framework."""
        from agency_lambda.framework.models import Models

        return Models(self._settings, self._secrets)

    async def _prepare_run(
        self, run: "Attempt", request: CreateResponse, owner: str, given: list[Item], place: HistoryCursor
    ) -> "Journal":
        from agency_lambda.framework.prepare import prepare_run

        return await prepare_run(
            run, request, owner, given, place, settings=self._settings, models=self._models, store=self.store
        )

    async def create(
        self,
        request: CreateResponse,
        owner: str,
        once: tuple[str, bytes] | None = None,
        thread: str | None = None,
        announce: "Callable[[response_object.ResponseObject | None], None]" = lambda response: None,
    ) -> "Attempt | StoredResponse":
        """A run that can be executed; or a response that is being made elsewhere: in the background, or because an
        earlier request with this idempotency key began it.

        Where nobody can say whether the run was stored, executing it does nothing but to say where to look.

        once: an idempotency key and the body that it was sent with.
        thread: a conversation by a name of the caller's own, made if it is not there.
        announce: is called with the response before the first write of a run that may go on without this request,
            and with None when that write is known to have failed.

        Raises:
            NotFound, UnknownName, InvalidRequest, UnsupportedParameter: refused, and nothing is kept.
            ConversationBusy, IdempotencyKeyReused, StoreUnavailable, SecretUnavailable.
        """
        self._refuse(request, once)
        claims, responses = IdempotencyKeys(self.store, owner), Responses(self.store, owner)
        while True:
            if once and (made := await claims.find(*once)):
                return await self._made(request, responses, made, announce)
            try:
                prepared = await self._prepare(request, owner, thread)
                if once:
                    prepared.changes.append(claims.put(*once, prepared.response["id"]))
                if prepared.kept and self.queue.durable:
                    announce(prepared.response)
                await self._write_first(responses, prepared)
            except Conflict:
                announce(None)
                continue  # somebody else began at the same moment: look again at what is there now
            except StoreUnavailable:
                announce(None)
                raise
            except OutcomeUncertain:
                return self._unsettled(prepared.response, request)
            except ConversationBusy:
                if not (once and await claims.find(*once)):
                    raise  # else it is busy with this very request
                continue
            if prepared.run and not request.background:
                return prepared.run
            assert prepared.kept
            await self._send(prepared.response["id"])
            return prepared.kept

    async def _made(
        self,
        request: CreateResponse,
        responses: Responses,
        response_id: str,
        announce: "Callable[[response_object.ResponseObject | None], None]",
    ) -> "Attempt | StoredResponse":
        """Return the response that an earlier request with the same idempotency key began."""
        response = response_object.new_response(request, response_id, request.conversation_id)
        announce(response)
        try:
            return await responses.get(response_id)
        except StoreUnavailable:
            return self._unsettled(response, request)

    async def _write_first(self, responses: Responses, prepared: _Prepared) -> None:
        """Make a run known.

        Raises:
            Conflict: see `Store`.
            StoreUnavailable: it is not known, and will never be, however late that write arrives.
            OutcomeUncertain: it may be known.
        """
        if not prepared.changes:
            return
        try:
            async with asyncio.timeout(_within(_TO_WRITE)):
                await self.store.write(*prepared.changes)
        except (StoreUnavailable, TimeoutError) as failure:
            try:
                async with asyncio.timeout(_within(_TO_FIND_OUT)):
                    await self.store.write(responses.void(prepared.response["id"]))
            except Conflict:  # with our own response, which is there
                return
            except (StoreUnavailable, TimeoutError):
                raise OutcomeUncertain from failure
            raise StoreUnavailable("The store could not be written. Nothing has begun.") from failure

    def _unsettled(self, response: response_object.ResponseObject, request: CreateResponse) -> "Attempt":
        unsettled = Attempt(response, bool(request.stream), None, durable=self.queue.durable)
        unsettled.stop("unsettled")
        return unsettled

    async def resume(self, run_id: str) -> "Attempt | None":
        """Another attempt at a run, on what the earlier ones have left; None: there is nothing to do here and now."""
        leases = Leases(self.store)
        lease = await leases.take(run_id, uuid.uuid4().hex)
        if lease is None:
            return None
        responses = Responses(self.store, lease.owner)
        try:
            kept = await responses.get(run_id)
        except NotFound:  # it was deleted
            await self.store.write(lease.end())
            return None
        return await self._taken_up(kept, lease)

    async def cancel(self, owner: str, response_id: str) -> response_object.ResponseObject:
        """End a run, wherever it runs; returns the response when it has ended, or as it stands after `_TO_CANCEL`.

        Whoever works on it sees within a few seconds that it shall end. Where that one is paused or dead, or the store
        is away by now, it ends later: with its lease, and without this request.

        Raises:
            NotFound: it is not there.
            StoreUnavailable: it could not be read, or not be marked; cancelling again does no harm.
        """
        responses = Responses(self.store, owner)
        end = asyncio.get_running_loop().time() + min(_TO_CANCEL, seconds_to_wait())
        try:
            async with asyncio.timeout_at(end):
                kept = await responses.get(response_id)
                if kept.response["status"] in response_object.FINAL:
                    return kept.response
                await Leases(self.store).cancel(response_id)
        except TimeoutError as error:
            raise StoreUnavailable("The store did not answer in time. Cancel again.") from error
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout_at(end):
                while kept.response["status"] not in response_object.FINAL:
                    await self._end_cancelled(response_id)
                    kept = await responses.final(response_id, _LOOK)
        return kept.response

    async def _end_cancelled(self, run_id: str) -> None:
        """End a run here and now if nobody works on it."""
        if (run := await self.resume(run_id)) is not None:
            with suppress(ServiceError):  # the response says it
                await self.execute(run)

    async def execute(self, run: "Attempt") -> response_object.ResponseObject:
        """One attempt, and word to whoever works next; returns the response, which another attempt may go on with.

        Raises:
            ServiceError: the run failed; its response says so too, and stays so.
        """
        try:
            return await run.execute()
        except HandedOver as handed_over:
            await self._send(run.response["id"], handed_over.after)
            return handed_over.response
        except OutcomeUncertain:
            return await self._as_it_stands(run)
        finally:
            if run.keeping and run.keeping.next:
                await self._send(run.keeping.next)

    async def _as_it_stands(self, run: "Attempt") -> response_object.ResponseObject:
        """Return the stored response of a run that this attempt did not end; or as it was, if the store is away.

        Raises:
            ServiceError: another attempt has ended it so; or it was deleted.
        """
        if run.keeping is None:
            return run.response
        try:
            async with asyncio.timeout(_TO_FIND_OUT):
                kept = await run.keeping.responses.get(run.response["id"])
        except (StoreUnavailable, TimeoutError):
            return run.response
        return _as_ended(kept.response)

    async def _send(self, run_id: str, after: float = 0.0) -> None:
        """A queue that is away loses nothing: the sweeper finds the run."""
        try:
            async with asyncio.timeout(_within(_TO_SEND)):
                await self.queue.send(run_id, after)
        except Exception:
            logger.exception("run %s: the queue could not be told of it", run_id)

    async def wait_until_final(self, owner: str, kept: StoredResponse) -> response_object.ResponseObject:
        """What an earlier request with the same idempotency key was answered, or how it stands when time is up.

        Raises:
            ServiceError: as it failed.
        """
        if not kept.response["background"]:
            with suppress(StoreUnavailable):  # then it is told of as it was
                kept = await Responses(self.store, owner).final(kept.response["id"], self._settings.answer_seconds)
        return _as_ended(kept.response)

    async def compact(self, request: CompactRequest, owner: str) -> dict[str, Any]:
        """See `compacted`; what is not addressed to the user is no part of it.

        Raises:
            NotFound, UnknownName, InvalidRequest, UnsupportedParameter, StoreUnavailable, SecretUnavailable.
            UpstreamFailed: the model did not answer.
        """
        from agency_lambda.framework.models import ModelUnavailable
        from agency_lambda.framework.prepare import build
        from agency_lambda.offline.digest import digest
        from agency_lambda.runs.compaction import compacted

        await self._models.refresh()
        name, entry, agency = build(request.model)
        responses = Responses(self.store, owner)
        items = parse_items(await resolve_references(responses, request.input)) if request.input else []
        if request.previous_response_id:
            place = await _stands(responses, request.previous_response_id)
            items = [*(item for turn in await load_turns(self.store, place) for item in turn.items), *items]
        model = self._models.bare(agency.agents[entry], {entry: digest}, catalogue.entry(name).model)
        try:
            return await compacted(model, items, request.instructions)
        except ModelUnavailable as error:
            raise error.failure() from error

    async def aclose(self) -> None:
        """Close the connections to the model and the store."""
        if "_models" in self.__dict__:
            await self._models.aclose()
        await self.store.aclose()
        await self.queue.aclose()

    def _refuse(self, request: CreateResponse, once: object) -> None:
        if once and not request.stored:
            raise InvalidRequest("An Idempotency-Key needs a response that is stored: 'store' is false.", param="store")
        if request.background and not request.stored:
            raise InvalidRequest("In the background a response has to be stored: 'store' is false.", param="store")
        if request.background and not self.queue.durable:
            raise UnsupportedParameter("'background' needs a queue: QUEUE is not set.", param="background")

    async def _prepare(self, request: CreateResponse, owner: str, thread: str | None) -> _Prepared:
        """Prepare a run; without the agents, which take long to import, where nothing of the request needs them."""
        conversations, responses = Conversations(self.store, owner), Responses(self.store, owner)
        given, response_id = parse_items(await resolve_references(responses, request.input)), new_id("resp")
        refuse_empty(added := to_agent_input(given))
        conversation, background = None, bool(request.background)
        if wanted := thread or request.conversation_id:
            conversation = await conversations.load_to_extend(wanted, create=thread is not None)
            if conversation.run is not None and not background:
                await self._give_up(conversation.run)
                raise busy()
            place = conversation.place
        elif request.previous_response_id:
            place = responses.continued(await _stands(responses, request.previous_response_id), response_id)
        else:
            place = HistoryCursor().branch(responses.log(response_id))
        response = response_object.new_response(request, response_id, conversation.id if conversation else None)
        keeping, kept, changes = None, None, []
        if request.stored:
            body = request.model_dump(mode="json", exclude_unset=True, by_alias=True)
            asked = StoredRequest(body, given, place.as_json, conversation.id if conversation else None)
            lease = new_lease(owner, response_id, background=background)
            keeping = RunRepository(self.store, owner, response_id, asked, place, conversation, lease)
            changes = keeping.begin(response)
            kept = keeping.kept(response)
        if background and _asks_plainly(request):
            catalogue.check_model(request.model)
            refuse_loose_ends(await load_history(self.store, place), given, added)
            return _Prepared(response, kept, None, changes)
        patience = math.inf if request.stream else self._settings.answer_seconds
        run = Attempt(response, bool(request.stream), keeping, durable=self.queue.durable, patience=patience)
        await self._prepare_run(run, request, owner, given, place)
        return _Prepared(response, kept, run, changes)

    async def _give_up(self, run_id: str) -> None:
        """Where nobody takes up what was interrupted, a run that has died must not hold its conversation for ever."""
        if not self.queue.durable and (run := await self.resume(run_id)) is not None:
            run.stop("given up")
            with suppress(AttemptsExhausted):
                await self.execute(run)

    async def _taken_up(self, kept: StoredResponse, lease: Lease) -> "Attempt | None":
        request = CreateResponse.model_validate(kept.asked.request)
        place, conversation = HistoryCursor.from_json(kept.asked.start), None
        gone = False
        if kept.asked.thread:
            conversation = await Conversations(self.store, lease.owner).load_to_extend(kept.asked.thread, create=True)
            gone = lease.id not in (conversation.run, *conversation.waiting)  # it was deleted
            if lease.id in conversation.waiting and not lease.cancelled:
                await Leases(self.store).release(lease, after=_NOT_YET, counts=False)
                return None
            place, conversation = conversation.place, None if gone else conversation
        keeping = RunRepository(self.store, lease.owner, lease.id, kept.asked, place, conversation, lease, kept.version)
        run = Attempt(kept.response, kept.streamed, keeping, durable=self.queue.durable)
        told = await keeping.responses.told(lease.id)
        if lease.cancelled or lease.attempts > MOST_ATTEMPTS:
            run.stop("cancelled" if lease.cancelled else "given up")
            run.restore(told, set())
            return run
        try:
            if gone:
                raise NotFound("The conversation was deleted before this run had its turn.")
            journal = await self._prepare_run(run, request, lease.owner, kept.asked.input, place)
        except (StoreUnavailable, SecretUnavailable):  # another attempt may find it there
            raise
        except ServiceError as error:  # what it was asked, or what it continues, is not there any more
            run.restore(told, set())
            run.refuse(error)
            return run
        await journal.load()
        run.restore(told, journal.ids)
        return run


def _within(seconds: float) -> float:
    """Return so many seconds, but at most half of what the invocation has left, so that it can still answer."""
    left = seconds_remaining()
    return seconds if left is None else min(seconds, left / 2)


def _as_ended(response: response_object.ResponseObject) -> response_object.ResponseObject:
    """Return a stored response.

    Raises:
        ServiceError: as its run has failed.
    """
    if error := response["error"]:
        raise error_from_field(error)
    return response


def _asks_plainly(request: CreateResponse) -> bool:
    """An agency, for its answer: no agent of it, and nothing that an agent could have of its own."""
    particular = (request.tools, request.text and request.text.format)
    known = "/" not in request.model or catalogue.knows_agents(request.model)
    return known and not any(particular) and not isinstance(request.tool_choice, BaseModel)


async def _stands(responses: Responses, previous: str) -> HistoryCursor:
    kept = await responses.get(previous, "previous_response_id")
    if kept.place is None:
        raise InvalidRequest(
            f"Response {previous!r} cannot be continued: it is {kept.response['status']}.", param="previous_response_id"
        )
    return kept.place
