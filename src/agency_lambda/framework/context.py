"""The context of one run, for its models and tools."""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agency_swarm.tools.send_message import SendMessage
from agents import FunctionTool

from agency_lambda.errors import StoreUnavailable
from agency_lambda.framework.client_options import ClientOptions
from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.exclusive_tools import ExclusiveTools
from agency_lambda.framework.interruptions import AnswerNotStored
from agency_lambda.framework.message_slots import MessageSlots
from agency_lambda.framework.model_call import ModelCall
from agency_lambda.framework.models import FetchFile, Meter, ModelRequest, ModelsOfRun, active_run
from agency_lambda.framework.open_calls import OpenCalls
from agency_lambda.framework.response_builder import ResponseBuilder
from agency_lambda.framework.run_input import GetTransport, RunFiles, RunInput, Send
from agency_lambda.framework.shared_values import SharedValues
from agency_lambda.framework.tool_call import ToolCall
from agency_lambda.protocol.approvals import ApprovalRequest, Decision
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.settings import Settings

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent

_parent_call: ContextVar[str] = ContextVar("parent_call", default="")  # key of the tool call that this code runs in


def current_run() -> "RunContext | None":
    run = active_run.get(None)
    return run if isinstance(run, RunContext) else None


def container_of(response_id: str) -> str:
    """Return the container of the files that tools of a run save, as OpenAI names that of a code interpreter."""
    return f"cntr_{response_id.removeprefix('resp_')}"


class RunContext:
    """Implements `RunProtocol`.

    agent: the addressed one. options: the client's, for that agent. models: of this run.

    Attributes:
        authorize: raises `AttemptOver` once this attempt may call nothing. It is there when the run has begun.
        send: see `Send`. It is there when the run has begun.
        memory: of the run's own agency.
        recalled: the items of the memory that were there before the root run.
        shared: None where all agents are in this process.
        live: whether events are streamed.
        caller: is merged into `MasterContext.user_context`.
        copies: id -> (agency made before the run, the run's copy).
        client_calls_tool: whether the run has ended with calls that the client has to answer.
    """

    authorize: Callable[[], Awaitable[None]]
    send: Send

    def __init__(
        self,
        run_input: RunInput,
        agency: "Agency",
        agent: "Agent",
        options: ClientOptions,
        *,
        meter: Meter,
        builder: ResponseBuilder,
        models: ModelsOfRun,
        settings: Settings,
    ) -> None:
        self.response_id, self.journal = run_input.root, run_input.journal
        self.caller, self.live, self.spending = run_input.caller, bool(run_input.request.stream), run_input.spending
        self.meter, self.builder = meter, builder
        self.longest_silence, self.resolve = models
        self.linked_content = settings.linked_content
        self.new_links: Collection[str] = frozenset(url for _, _, url in run_input.links)
        self.transport: GetTransport = run_input.transport or (lambda sender, recipient: "memory")
        self._open_files = run_input.open_files
        self.memory, self.recalled = agency.thread_manager, run_input.recalled
        self.shared = SharedValues(agency.user_context, run_input.shared) if run_input.transport else None
        self.calls = OpenCalls()
        builder.run_waits = lambda: self.calls.waits
        self.copies: dict[int, tuple[Agency, Agency]] = {}
        self.client_calls_tool = False
        self._agent, self._options = agent, options
        self.message_slots, self.message_seconds = MessageSlots(settings.messages_at_once), settings.message_seconds
        self.exclusive_tools = ExclusiveTools()
        self._messages: set[str] = set()  # keys of tool calls that ask a colleague

    def begin(self, authorize: Callable[[], Awaitable[None]], send: Send) -> None:
        """Let the run call models and tools. authorize, send: of this attempt."""
        self.authorize, self.send = self.calls.checked(authorize), send

    @property
    def is_outside_tools(self) -> bool:
        return self.builder.is_outside_tools

    @property
    def client_instructions(self) -> str | None:
        return self._options.instructions

    def client_tools(self, agent: object) -> list[ClientTool]:
        """Return the client's functions for the addressed agent, outside of tools."""
        return [*self._options.tools] if agent is self._agent and self.is_outside_tools else []

    def adjust(self, agent: str, request: ModelRequest) -> ModelRequest:
        request = self._options.apply_to_all(request)
        return self._options.apply(request) if agent == self._agent.name and request.for_user else request

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
        # Only an input that nothing else stores goes into the row: the request has that of the addressed agent, and
        # the arguments of `send_message` that of a colleague.
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
        while row := self.journal.find_row(Row.FILE.key(call, number)):
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
