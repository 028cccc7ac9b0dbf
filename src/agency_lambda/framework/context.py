"""The context of one run, for its models and tools."""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agency_swarm.tools.send_message import SendMessage
from agents import FunctionTool

from agency_lambda.errors import StoreUnavailable
from agency_lambda.framework.call_journal import CallJournal
from agency_lambda.framework.client_options import ClientOptions
from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.exclusive_tools import ExclusiveTools
from agency_lambda.framework.interruptions import AnswerNotStored
from agency_lambda.framework.memory import Memory
from agency_lambda.framework.message_slots import MessageSlots
from agency_lambda.framework.model_call import ModelCall
from agency_lambda.framework.models import FetchFile, Meter, ModelRequest, ModelsOfRun, active_run
from agency_lambda.framework.open_calls import OpenCalls
from agency_lambda.framework.response_builder import ResponseBuilder
from agency_lambda.framework.shared_values import SharedValues, Values
from agency_lambda.framework.spending import Spending
from agency_lambda.framework.tool_call import ToolCall
from agency_lambda.protocol.approvals import ApprovalRequest, Decision
from agency_lambda.protocol.messages import Message
from agency_lambda.protocol.types import Item
from agency_lambda.validators import Transport

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent

_parent_call: ContextVar[str] = ContextVar("parent_call", default="")  # key of the tool call that this code runs in


def current_run() -> "RunContext | None":
    run = active_run.get(None)
    return run if isinstance(run, RunContext) else None


type GetTransport = Callable[[str, str], Transport]
"""Returns how messages of a sender reach a recipient."""

type Send = Callable[[Message, Sequence[Item], Values], Awaitable[Mapping[str, Any]]]
"""Gives a message to a run of its own; returns the message's row in the journal.

With it go the memory before its batch, and what had been changed in `user_context`.
"""


class RunFiles(Protocol):
    """The files of a run's owner, as `agency_lambda.files.run_files` has them."""

    async def expanded(self, items: Any) -> Any:
        """Return items with the bytes of the files that they name. Raises StoreUnavailable."""
        ...

    @property
    def available(self) -> bool: ...

    async def find(self, file_id: str) -> Any: ...

    async def save(self, file_id: str, name: str, content: bytes, media_type: str | None, container: str) -> Any:
        """Store a file that a run has made, once. Raises ServiceError."""
        ...


def saved_file_row(call: str, number: int) -> str:
    """Return the name of a file's row in the journal. call: the key of the tool call that has saved it."""
    return f"file/{call}/{number:04d}"


def container_of(response_id: str) -> str:
    """Return the container of the files that tools of a run save, as OpenAI names that of a code interpreter."""
    return f"cntr_{response_id.removeprefix('resp_')}"


type OpenFiles = Callable[[], RunFiles]


def _no_files() -> RunFiles:
    raise RuntimeError("The run has no files.")


async def _not_executed(*_: Any) -> Any:
    raise RuntimeError("The run is not executed.")


class RunContext:
    """Implements `RunProtocol`.

    options: the client's, for `entry`, the addressed agent. live: stream events.
    caller: merged into `MasterContext.user_context`.
    spending: the budget of the run, if any.
    messages_at_once: to one recipient, side by side. message_seconds: until one has failed. transport: of messages.
    open_files: the owner's files.
    authorize: raises `AttemptOver` once this attempt may call nothing. send: see `Send`. Both are set when it begins.
    """

    def __init__(
        self,
        entry: "Agent",
        options: ClientOptions,
        *,
        response_id: str,
        meter: Meter,
        builder: ResponseBuilder,
        journal: CallJournal,
        models: ModelsOfRun,
        caller: dict[str, Any],
        live: bool,
        linked_content: Literal["0", "1"] | None = None,
        new_links: Collection[str] = (),
        spending: Spending | None = None,
        messages_at_once: int = 10,
        message_seconds: float = 604_800,
        transport: GetTransport = lambda sender, recipient: "memory",
        open_files: OpenFiles = _no_files,
    ) -> None:
        self.response_id, self.meter, self.builder, self.journal = response_id, meter, builder, journal
        self.longest_silence, self.resolve = models
        self.caller, self.live, self.spending = caller, live, spending
        self.linked_content, self.new_links = linked_content, new_links
        self.authorize: Callable[[], Awaitable[None]] = _not_executed
        self.send: Send = _not_executed
        self.transport, self._open_files = transport, open_files
        self.memory: Memory | None = None  # that of the run's own agency, set when it begins
        self.recalled = 0  # items of it that were there before the root run
        self.shared: SharedValues | None = None  # None where all agents are in this process
        self.calls = OpenCalls()
        builder.run_waits = lambda: self.calls.waits
        self.copies: dict[int, tuple[Agency, Agency]] = {}  # id -> agency made before the run, the run's copy
        self.client_calls_tool = False  # the run has ended with calls that the client has to answer
        self._entry, self._options = entry, options
        self.message_slots, self.message_seconds = MessageSlots(messages_at_once), message_seconds
        self.exclusive_tools = ExclusiveTools()
        self._messages: set[str] = set()  # keys of tool calls that ask a colleague

    @property
    def is_outside_tools(self) -> bool:
        return self.builder.is_outside_tools

    @property
    def client_instructions(self) -> str | None:
        return self._options.instructions

    def client_tools(self, agent: object) -> list[ClientTool]:
        """Return the client's functions for the addressed agent, outside of tools."""
        return [*self._options.tools] if agent is self._entry and self.is_outside_tools else []

    def adjust(self, agent: str, request: ModelRequest) -> ModelRequest:
        request = self._options.apply_to_all(request)
        return self._options.apply(request) if agent == self._entry.name and request.for_user else request

    @cached_property
    def files(self) -> RunFiles:
        return self._open_files()

    async def with_files(self, request: ModelRequest) -> ModelRequest:
        try:
            return replace(request, items=await self.files.expanded(request.items))
        except StoreUnavailable as error:
            raise AnswerNotStored from error

    def model_call(self, agent: str, request: ModelRequest) -> ModelCall:
        parent = _parent_call.get()
        recording = self.builder.model_call(agent, request.for_user)
        is_colleague = request.identity == agent and not (request.for_user and self.is_outside_tools)
        # The request holds what the addressed agent is asked, and a message's arguments what a colleague is.
        is_known = request.identity == agent and (not parent or parent in self._messages)
        call = self.journal.begin_call(agent, request, parent, has_own_input=not is_known)
        return ModelCall(
            call,
            recording,
            self.journal,
            self.meter,
            authorize=self.authorize,
            is_colleague=is_colleague,
            spending=self.spending,
            save_cited=self._save_cited,
        )

    async def _save_cited(self, call: str, items: Sequence[Any], fetch: FetchFile) -> Mapping[str, Any]:
        from agency_lambda.framework.cited_files import save_cited  # which few runs need

        return await save_cited(self, call, items, fetch)

    async def allows_call(self, agent: str, call_id: str) -> bool:
        """Count a tool call; return False if `max_tool_calls` is used up."""
        self.meter.tool_calls += 1
        if math.isinf(self.meter.limits.tool_calls):
            return True
        await self.authorize()
        return await self.journal.allow_call(self.journal.tool_call_key(agent, call_id), self.meter.limits.tool_calls)

    def was_asked(self, agent: str, call_id: str) -> bool:
        """Return whether a person was asked about a call: then it is not made without a decision."""
        return self.journal.has_asked and self.journal.was_asked(self.journal.tool_call_key(agent, call_id))

    def given_arguments(self, agent: str, call_id: str) -> str | None:
        """Return the arguments that a person gave in place of the model's."""
        if not self.journal.has_asked:
            return None
        decision = self.journal.find_decision(self.journal.tool_call_key(agent, call_id))
        return decision.arguments if decision else None

    async def decision(self, request: ApprovalRequest) -> Decision:
        """Return what a person has decided.

        Raises:
            RunWaits: nobody has yet, and nothing else of the run can go on.
        """
        return self.journal.find_decision(request.key) or await self.calls.wait(request)

    async def is_to_be_made(self, agent: str, call_id: str) -> bool:
        """Return whether a call has no output yet and is within `max_tool_calls`."""
        key, most = self.journal.tool_call_key(agent, call_id), self.meter.limits.tool_calls
        if self.journal.has_tool_output(key):
            return False
        return math.isinf(most) or await self.journal.allow_call(key, most)

    async def show_files(self, call: str) -> None:
        """Show what a call has saved in an earlier attempt. call: its key."""
        number = 1
        while row := self.journal.find_row(saved_file_row(call, number)):
            if file := await self.files.find(row["id"]):
                self.builder.add_file(file.id, file.name, file.container)
            number += 1

    def tool_call(self, agent: str, tool: FunctionTool, arguments: str, call_id: str) -> ToolCall:
        """Return a context manager. call_id: unique in the run."""
        # A resumed run sends messages to colleagues again, so that they remember them; their answers are journaled.
        key = self.journal.tool_call_key(agent, call_id)
        journal = None if isinstance(tool, SendMessage) else self.journal
        if journal is None:
            self._messages.add(key)
        recording = self.builder.tool_call(agent, tool.name, arguments, key)
        return ToolCall(key, agent, tool.name, journal, recording, parent_call=_parent_call, authorize=self.authorize)
