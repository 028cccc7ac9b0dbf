"""Where a run meets its agents: what their models are asked, and what is heard of them."""

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from agency_swarm.tools.send_message import SendMessage
from agents import AgentOutputSchemaBase, FunctionTool, Model, ModelResponse, ModelSettings, RunConfig
from agents.models.fake_id import FAKE_RESPONSES_ID
from openai.types.responses import ResponseFormatTextJSONSchemaConfig, ResponseStreamEvent, ToolChoiceFunction
from openai.types.shared import ResponseFormatJSONObject

from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.models import Adapt, Meter, ModelAnswer, ModelRequest, ModelUnavailable, running
from agency_lambda.framework.response_builder import ModelCallRecorder, ResponseBuilder
from agency_lambda.history import is_call
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.journal import Journal

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent

_NOTHING = ModelSettings()
_within: ContextVar[str] = ContextVar("within", default="")  # the call of a tool that this code runs in


def current_run() -> "RunContext | None":
    """The run that this code runs in."""
    run = running.get(None)
    return run if isinstance(run, RunContext) else None


class RunContext:
    """One run, as its agents' models and tools meet it. entry: the agent that the client addresses.

    What the client asks for (instructions, temperature, its functions ...) holds for that agent as it speaks with the
    user, not for its colleagues.
    """

    def __init__(
        self,
        request: CreateResponse,
        entry: "Agent",
        meter: Meter,
        builder: ResponseBuilder,
        journal: Journal,
        *,
        chat: bool,
        response: str,
        caller: dict[str, Any],
    ) -> None:
        self.meter, self.builder, self.journal, self.response = meter, builder, journal, response
        self.longest_silence: float  # `Models.attach` sets these two
        self.resolve: Callable[[Any, RunConfig], tuple[Model, Adapt | None]]
        self.caller = caller  # what tools find in `MasterContext.user_context`
        self.copies: dict[int, tuple[Agency, Agency]] = {}  # of agencies that were made before the run; by id
        self.authorize: Callable[[], Awaitable[None]] = _always  # `Attempt.authorize`, where a run is executed
        self.live = bool(request.stream)
        self.handed_over = False  # control went back to the client, who has a function to run
        self._speaker, self._entry, self._instructions = entry, entry.name, request.instructions
        self._functions = [ClientTool(tool) for tool in request.function_tools]
        self._wanted, self._schema = _settings(request, chat), _schema(request)
        self._everywhere = _settings_of_every_call(request)
        self._asks = bool(self._instructions or self._schema or self._wanted is not _NOTHING)

    @property
    def aloud(self) -> bool:
        """See `RunProtocol`."""
        return self.builder.aloud

    @property
    def asks_more(self) -> bool:
        """Whether the client asks for anything but an answer: settings, instructions, a format, functions, a limit."""
        return bool(self._asks or self._functions or self.meter.cap is not None)

    def functions(self, agent: object) -> list[ClientTool]:
        """The client's functions that an agent may call: the one that it speaks with, not another of its name."""
        return self._functions if agent is self._speaker and self.builder.aloud else []

    def model_call(self, agent: str, question: ModelRequest) -> "_Call":
        """See `RunProtocol`."""
        recording = self.builder.model_call(agent, question.speaks)
        colleague = question.identity == agent and not (question.speaks and self.builder.aloud)
        within = _within.get()
        return _Call(self, self.journal.question_key(agent, question, within), within, recording, colleague=colleague)

    async def allows_call(self, agent: str, call: str) -> bool:
        """Count a call of a tool before it is made; returns False if the client allowed no more. call: its id."""
        self.meter.tool_calls += 1
        if math.isinf(self.meter.most_tool_calls):
            return True
        await self.authorize()
        return await self.journal.allow_call(self.journal.tool_call_key(agent, call), self.meter.most_tool_calls)

    def tool_call(self, agent: str, tool: FunctionTool, arguments: str, call: str) -> "ToolCall":
        """Around one call of a tool. call: its id, which no other call of the run has."""
        call = self.journal.tool_call_key(agent, call)
        # What a colleague was told must be in its memory again: that call is made again, and finds its answers here.
        journal = None if isinstance(tool, SendMessage) else self.journal
        return ToolCall(self, journal, call, self.builder.tool_call(agent, tool.name, arguments, call))

    def ask(self, agent: str, question: ModelRequest) -> ModelRequest:
        """See `RunProtocol`: what the client asked for, in place of what the agent would ask."""
        if self._everywhere is not _NOTHING:
            question = replace(question, settings=question.settings.resolve(self._everywhere))
        if not self._asks or agent != self._entry or not question.speaks:
            return question
        said = "\n\n".join(text for text in (question.instructions, self._instructions) if text)
        settings = question.settings.resolve(self._wanted)
        if self._wanted.tool_choice:  # it holds for one call; else the agent would call tools for ever
            self._wanted = replace(self._wanted, tool_choice=None)
        return replace(
            question,
            instructions=said or None,
            settings=settings,
            output_schema=self._schema or question.output_schema,
        )


async def _always() -> None:
    """Whatever begins may begin."""


def _settings(request: CreateResponse, chat: bool) -> ModelSettings:
    choice = request.tool_choice
    hints = {name: getattr(request, name) for name in ("user", "safety_identifier", "prompt_cache_key")}
    plain, body = _json_object(request, chat)
    wanted: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "reasoning": request.reasoning,
        "verbosity": request.text.verbosity if request.text and plain else None,
        "parallel_tool_calls": request.parallel_tool_calls,
        "tool_choice": choice.name if isinstance(choice, ToolChoiceFunction) else choice,
        "extra_args": {name: value for name, value in hints.items() if value is not None} or None,
        "extra_body": body,
    }
    # The like of _NOTHING takes longer to make than all the rest here.
    return ModelSettings(**wanted) if any(value is not None for value in wanted.values()) else _NOTHING


def _settings_of_every_call(request: CreateResponse) -> ModelSettings:
    """Return what holds for colleagues too. The service stores; whether the provider may is asked only by a client."""
    if request.store is not False and request.truncation is None:
        return _NOTHING
    return ModelSettings(store=False if request.store is False else None, truncation=request.truncation)


def _schema(request: CreateResponse) -> AgentOutputSchemaBase | None:
    wanted = request.text.format if request.text else None
    return _ClientSchema(wanted) if isinstance(wanted, ResponseFormatTextJSONSchemaConfig) else None


def _json_object(request: CreateResponse, chat: bool) -> tuple[bool, dict[str, Any] | None]:
    """The SDK has no word for a JSON object without a schema, so it is said in each API's own."""
    text = request.text
    if text is None or not isinstance(text.format, ResponseFormatJSONObject):
        return True, None
    if chat:
        return True, {"response_format": {"type": "json_object"}}
    return False, {"text": text.to_dict(mode="json", exclude_none=True)}


# Classes, and no generators: those that are asynchronous are closed with their request, whoever still waits in them.
class _Call:
    """See `ModelCallProtocol`: one model call, told as it comes, and in the journal before it is used.

    within: the call of a tool that asks. colleague: another agent of the run is answered, and would act on half an
    answer.
    """

    def __init__(
        self,
        run: RunContext,
        key: str,
        within: str,
        recording: AbstractContextManager[ModelCallRecorder],
        *,
        colleague: bool,
    ) -> None:
        self._authorize, self._journal, self._key, self._within = run.authorize, run.journal, key, within
        self._recording, self._colleague, self._meter = recording, colleague, run.meter
        self._is_answered = False
        self._begun: dict[int, tuple[str, str]] = {}  # a call's output index -> its id from the model, and in the run

    async def __aenter__(self) -> Self:
        await self._authorize()
        if failure := self._journal.find_failure(self._key):
            self._meter.replay_failure()
            raise failure
        self._recorder = self._recording.__enter__()
        self._entry = self._journal.find(self._key)
        self.known = self._entry.answered if self._entry else None
        return self

    async def __aexit__(self, *failure: Any) -> None:
        self._recording.__exit__(*failure)
        if isinstance(failure[1], ModelUnavailable):
            self._journal.note_failure(self._key, failure[1])
        elif self._entry is None and not self._is_answered:
            self._journal.release(self._key)

    def event(self, event: ResponseStreamEvent) -> None:
        """See `ModelCallProtocol`. A call is told of under the id that it will have in the answer."""
        if event.type == "response.output_item.added" and is_call(event.item.type):
            item: Any = event.item
            if event.output_index not in self._begun:
                self._begun[event.output_index] = item.call_id, self._claim(item.call_id, len(self._begun))
            item.call_id = self._begun[event.output_index][1]
        self._recorder.event(event)

    async def answer(self, answered: ModelAnswer) -> ModelAnswer:
        """See `ModelCallProtocol`."""
        entry = self._entry
        if entry is None:
            answered = replace(answered, response=self._with_own_ids(answered.response))
            self._recorder.plan(answered.response.output)
            entry = await self._journal.save_answer(self._key, answered, self._recorder.ids, self._within)
            self._is_answered = True
        self._recorder.ids = entry.ids
        self._recorder.answer(entry.answered.response.output, entry.answered.incomplete)
        usable = entry.answered if entry.answered.complete else self._words_of(entry.answered)
        self._journal.note_usable(self._key, usable.response.output)
        return usable

    def _claim(self, given: str, number: int) -> str:
        return self._journal.call_ids.claim(given, f"{self._key}/{number}")

    def _with_own_ids(self, response: ModelResponse) -> ModelResponse:
        """Return the answer with ids that the run has nowhere else. The model may use its items again.

        The SDK keeps only the last of the items that have one id, and forgets what was done by the others.
        """
        begun, output = [*self._begun.values()], list[Any]()
        items: list[Any] = response.output
        for number, item in enumerate(items):
            item_id = getattr(item, "id", None)
            if item_id is not None and item_id != FAKE_RESPONSES_ID:  # chat has none
                own = self._journal.item_ids.claim(item_id, f"{self._key}/{number}")
                item = item if own == item_id else item.model_copy(update={"id": own})
            if is_call(item.type):
                told = [ids for ids in begun if item.call_id in ids] or [ids for ids in begun if not ids[0]]
                if told:
                    begun.remove(told[0])
                claimed = told[0][1] if told else self._claim(item.call_id, len(self._begun) + number)
                item = item if claimed == item.call_id else item.model_copy(update={"call_id": claimed})
            output.append(item)
        return replace(response, output=output)

    def _words_of(self, answered: ModelAnswer) -> ModelAnswer:
        """Return the words of an answer that was broken off: half a call is not made."""
        items = [] if self._colleague else answered.response.output
        output: list[Any] = [item for item in items if item.type == "message" and _text(item.content)]
        return replace(answered, response=replace(answered.response, output=output))


def _text(content: Sequence[Any]) -> str:
    return "".join(getattr(part, "text", None) or getattr(part, "refusal", None) or "" for part in content)


class ToolCall:
    """One call of a tool: what it has returned, if it has finished before; else what it returns is to be kept."""

    def __init__(
        self, run: RunContext, journal: Journal | None, call: str, recording: AbstractContextManager[None]
    ) -> None:
        self._authorize, self._journal, self.call, self._recording = run.authorize, journal, call, recording
        self.finished: bool
        self.output: Any
        self.finished, self.output = journal.find_tool_output(call) if journal else (False, None)

    async def __aenter__(self) -> Self:
        await self._authorize()
        self._recording.__enter__()
        self._token = _within.set(self.call)
        return self

    async def __aexit__(self, *failure: Any) -> None:
        _within.reset(self._token)
        self._recording.__exit__(*failure)

    async def keep(self, output: Any) -> Any:
        """It is the run's when this returns; returns what is."""
        return await self._journal.save_tool_output(self.call, output) if self._journal else output


class _ClientSchema(AgentOutputSchemaBase):
    """The client's own schema goes to the model; what comes back is its text, for the client to read."""

    def __init__(self, wanted: ResponseFormatTextJSONSchemaConfig) -> None:
        self._wanted = wanted

    def is_plain_text(self) -> bool:
        return False

    def name(self) -> str:
        return self._wanted.name

    def json_schema(self) -> dict[str, Any]:
        return self._wanted.schema_

    def is_strict_json_schema(self) -> bool:
        return bool(self._wanted.strict)

    def validate_json(self, json_str: str) -> Any:
        return json_str
