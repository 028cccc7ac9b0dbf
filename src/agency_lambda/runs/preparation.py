"""Prepares what a run needs before its agents begin: input, history, budget, journal and agency."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from agency_lambda import catalogue
from agency_lambda.budgets import Budgets
from agency_lambda.errors import LINKS_REFUSED, NotFound, UnsupportedParameter
from agency_lambda.history import UniqueIds
from agency_lambda.history.conversations import Conversation
from agency_lambda.history.loading import TurnCache, load_history
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.items import to_agent_input
from agency_lambda.protocol.request import CompactRequest, CreateResponse
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.protocol.types import Item
from agency_lambda.runs.child_runs import MessageLimits
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.message_rows import load_batch
from agency_lambda.runs.model import Run, Sending, response_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.validation import refuse_empty, refuse_loose_ends, without_repeated_outputs
from agency_lambda.runs.waiting import ApprovalPolicy
from agency_lambda.settings import Settings
from agency_lambda.store import Store
from agency_lambda.validators import is_openai_host

if TYPE_CHECKING:
    from agency_lambda.budgets.spending import Spending
    from agency_lambda.files.run_files import RunFiles
    from agency_lambda.files.service import Files
    from agency_lambda.framework.execution import AgencyExecution
    from agency_lambda.framework.models import Models
    from agency_lambda.framework.run_input import GetTransport, RunInput
    from agency_lambda.protocol.token_count import CountInputTokens
    from agency_lambda.runs.creation import CheckFiles
    from agency_lambda.runs.journal import Journal


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What the agents of a run begin with. The other fields are those of `RunInput`."""

    request: CreateResponse  # of a child run: its root's
    history: list[Item]
    recalled: int
    new_input: list[Item] = field(default_factory=list)
    links: Sequence[tuple[str, str, str]] = ()
    shared: Mapping[str, Any] = field(default_factory=dict)


class RunPreparation:
    """Prepares runs, and answers requests that need models and histories but no run.

    has_queue: whether workers execute what is queued.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        budgets: Budgets,
        secrets: Mapping[str, str] | None = None,
        *,
        has_queue: bool = True,
        files: Callable[[], "Files | None"] = lambda: None,
    ) -> None:
        self._has_queue, self._files = has_queue, files
        self._settings, self._store, self._budgets, self._secrets = settings, store, budgets, secrets
        self._turns = TurnCache()

    @cached_property
    def models(self) -> "Models":
        from agency_lambda.framework.models import Models

        return Models(self._settings, self._secrets)

    async def prepare(self, run: Run, log: EventLog, request: CreateResponse | None = None) -> "AgencyExecution | None":
        """Return an agency that is ready to run; None for a new run that a worker prepares.

        request: the run's, if it is parsed already.

        Raises:
            NotFound, InvalidRequest, UnknownName: the run cannot be executed.
        """
        if run.has_lost_conversation:
            raise NotFound("The conversation was deleted before this run had its turn.")
        sending = run.stored.sending
        given = await (self._by_sender(run, sending) if sending else self._by_client(run, request))
        found = catalogue.find_entry(given.request.model)
        spending = await self._spending(run, found[1])
        is_plain = needs_no_agency(given.request) and not spending.is_limited and not given.links
        if run.is_new and given.request.background and is_plain and sending is None:
            catalogue.check_model(given.request.model)
            return None
        from agency_lambda.framework.prepare import prepare_run

        run_input = await self._run_input(run, log, given, found[1], spending)
        await self.models.refresh()
        return await prepare_run(*found, self.models, run_input)

    async def _by_client(self, run: Run, request: CreateResponse | None) -> _Given:
        request, items = request or CreateResponse.model_validate(run.stored.request.body), await self._input(run)
        await asyncio.sleep(0)  # parsing the largest input takes 200 ms, and so does what follows
        new_input = to_agent_input(items, with_signed=True)
        answered = {item["call_id"] for item in items if item["type"] == "function_call_output"}
        history = await load_history(self._store, history_of(run), self._turns, answered)
        new_input = without_repeated_outputs(history, new_input)
        refuse_empty(new_input)
        refuse_loose_ends(history, items, new_input)
        links = _links(items) if any(item.get("linked") for item in new_input) else []
        return _Given(request=request, history=history, recalled=len(history), new_input=new_input, links=links)

    async def _by_sender(self, run: Run, sending: Sending) -> _Given:
        responses = Responses(self._store, run.owner)
        root = await responses.get(sending.root)
        last = await responses.last(root.continued_by) if root.continued_by else root
        sender = last if sending.run == last.response["id"] else await responses.get(sending.run)
        # It may have been sent behind the end of its sender, by an attempt that has lost its lease.
        if run.open_message is None or {each.response["status"] for each in (last, sender)} & FINAL:
            raise NotFound("Nobody waits for the answer of this run any more.")
        request = CreateResponse.model_validate(root.request.body)
        request = request.model_copy(update={"max_output_tokens": sending.message.output_tokens})
        history = await load_history(self._store, run.cursor, self._turns)
        added, shared = await load_batch(self._store, run.owner, sending)
        return _Given(request=request, history=[*history, *added], recalled=len(history), shared=shared)

    def message_limits(self) -> MessageLimits:
        settings = self._settings
        return MessageLimits(settings.max_messages, settings.max_message_depth, settings.message_seconds)

    def _uses_queue(self, entry: catalogue.Entry) -> bool:
        return "queue" in (self._settings.agent_messages, *(entry.messages or {}).values())

    def _transport(self, entry: catalogue.Entry) -> "GetTransport":
        return lambda sender, recipient: entry.transport(sender, recipient) or self._settings.agent_messages

    async def _input(self, run: Run) -> list[Item]:
        if run.stored.continues is None:
            return run.stored.request.input
        return (await Responses(self._store, run.owner).get(run.stored.root)).request.input

    def approval_policy(self, model: str) -> ApprovalPolicy:
        agency, entry = catalogue.find_entry(model)
        approvers = entry.approvers or self._settings.approvers
        return ApprovalPolicy(agency, approvers, self._settings.approval_days * 86_400)

    async def _run_input(
        self, run: Run, log: EventLog, given: _Given, entry: catalogue.Entry, spending: "Spending"
    ) -> "RunInput":
        from agency_lambda.framework.run_input import RunInput

        request, sending = given.request, run.stored.sending
        uses_queue = self._has_queue and request.stored and self._uses_queue(entry)
        counted_in = _root_partition(run) if uses_queue and request.max_tool_calls else ""
        journal = await self._load_journal(run, request, UniqueIds([*given.history, *given.new_input]), counted_in)
        journal.item_ids.restore(given.history[given.recalled :])
        return RunInput(
            request=request,
            response=run.stored.response,
            owner=run.owner,
            history=given.history,
            new_input=given.new_input,
            output=log.output,
            journal=journal,
            root=run.stored.root,
            asked_in=sending.shown_in if sending else run.id,
            links=given.links,
            is_new=run.is_new,
            recalled=given.recalled,
            shared=given.shared,
            spending=spending,
            message=sending.message if sending else None,
            open_files=partial(self._open_files, run.owner),
            transport=self._transport(entry) if uses_queue else None,
        )

    def _open_files(self, owner: str) -> "RunFiles":
        from agency_lambda.files.run_files import RunFiles  # which few runs need

        return RunFiles(self._files(), owner)

    async def _spending(self, run: Run, entry: catalogue.Entry) -> "Spending":
        usd = self._settings.max_usd_per_run if entry.max_usd is None else entry.max_usd
        tokens = self._settings.max_tokens_per_run if entry.max_tokens is None else entry.max_tokens
        return await self._budgets.spending(run.owner, _root_partition(run), usd, tokens)

    async def _load_journal(self, run: Run, request: CreateResponse, call_ids: UniqueIds, counted_in: str) -> "Journal":
        from agency_lambda.runs.journal import Journal

        journal = Journal(
            self._store if request.stored else None,
            run.owner,
            run.stored.root,
            call_ids,
            attempt=max(run.lease.attempts, 1) if run.lease else 1,
            keeps_prompts=self._settings.trace_content == "1",
            asked=[each["key"] for each in run.stored.asked],
            counted_in=counted_in,
        )
        if not run.is_new:
            await journal.load()
        return journal

    async def compact(self, request: CompactRequest, owner: str, check_files: "CheckFiles") -> dict[str, Any]:
        from agency_lambda.runs.compaction import compact

        return await compact(self.models, self._store, self._budgets, request, owner, check_files)

    def refuse_links(self, named: Sequence[str]) -> None:
        """Refuse links where no model may be sent one. named: the fields. Raises UnsupportedParameter."""
        setting, url = self._settings.linked_content, self._settings.openai_base_url
        is_other = url is not None and not is_openai_host(urlsplit(url).hostname)
        if named and (setting == "0" or (setting is None and is_other)):
            raise UnsupportedParameter(LINKS_REFUSED, param=named[0])

    async def delete_item(self, owner: str, conversation_id: str, item_id: str) -> Conversation:
        """Raises NotFound, ConversationBusy."""
        from agency_lambda.history.deleting import delete_item  # few clients delete

        conversation = await delete_item(self._store, owner, conversation_id, item_id)
        self._turns.forget(conversation.log)
        return conversation

    async def count_input_tokens(self, request: "CountInputTokens", owner: str) -> dict[str, Any]:
        from agency_lambda.runs.token_count import count_input_tokens

        return await count_input_tokens(self.models, self._store, self._turns, self._files(), request, owner)

    async def aclose(self) -> None:
        if "models" in self.__dict__:
            await self.models.aclose()


def history_of(run: Run) -> HistoryCursor:
    """Return where the history is that a run begins with."""
    return run.cursor.without_last(len(run.stored.continues.before)) if run.stored.continues else run.cursor


def _root_partition(run: Run) -> str:
    """Return the partition of the run that the client has asked for, where all runs for it count what they use."""
    return response_partition(run.owner, run.stored.sending.root if run.stored.sending else run.stored.root)


def _links(items: Sequence[Item]) -> list[tuple[str, str, str]]:
    from agency_lambda.protocol.links import links_of

    return list(links_of(items))


def needs_no_agency(request: CreateResponse) -> bool:
    """Return whether a request can be validated without importing its agency."""
    particular = (request.tools, request.text and request.text.format)
    known = "/" not in request.model or catalogue.knows_agents(request.model)
    return known and not any(particular) and not isinstance(request.tool_choice, BaseModel)
