"""Runs a prepared agency once, and maps how it ends: a result, a wait, or a failure of the service."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import (
    InputGuardrailTripwireTriggered,
    ModelBehaviorError,
    ModelRefusalError,
    OutputGuardrailTripwireTriggered,
    RunConfig,
)

from agency_lambda.errors import (
    NO_ANSWER,
    GuardrailTriggered,
    InvalidOutput,
    RunLimitExceeded,
    ServiceError,
    StoreUnavailable,
    UpstreamFailed,
)
from agency_lambda.framework import conversation_starters, unknown_tools, worst_case
from agency_lambda.framework.client_tools import OUTPUT_PENDING
from agency_lambda.framework.context import RunContext
from agency_lambda.framework.delivery import deliver, plain_items
from agency_lambda.framework.interruptions import AnswerNotStored, RunWaits
from agency_lambda.framework.models import (
    AnswerIncomplete,
    Meter,
    ModelCallLimit,
    ModelUnavailable,
    OutputTokenLimit,
    Reason,
    UserRunConfig,
    active_run,
    cause,
    caused_by,
    tracing,
)
from agency_lambda.framework.output_type import misses_output_type
from agency_lambda.framework.run_input import Send
from agency_lambda.framework.spending import CallRefused
from agency_lambda.framework.tool_output import text_of
from agency_lambda.history import storable
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.items import parse_items, to_agent_input
from agency_lambda.protocol.items import text_of as words_of
from agency_lambda.protocol.messages import Message
from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.protocol.types import Item

if TYPE_CHECKING:
    from agency_swarm import Agency, RunResult


@dataclass(frozen=True)
class AgencyResult:
    """The result of a run, or of an attempt after which it waits."""

    history: list[Item]  # new items of the agents' memory
    incomplete: Reason | None = None
    detail: str | None = None  # our word for it
    asked: Sequence[ApprovalRequest] = ()  # what persons have to decide before it goes on
    waits_for_agents: bool = False  # it has messages without an answer
    output: str | None = None  # of a child run: what the sender's model gets
    error: ServiceError | None = None  # of a child run: why its recipient has failed
    shared: Mapping[str, Any] = field(default_factory=dict)  # see `SharedValues.answer`


class AgencyExecution:
    """An agency that is ready to answer once.

    history: the agents' memory. new_input: the client's in the agents' format. starters: the owner's cache folder.
    message: of a child run, which it delivers in place of the input.
    """

    def __init__(
        self,
        agency: "Agency",
        agent: str,
        run_context: RunContext,
        *,
        history: list[Item],
        new_input: Sequence[Item],
        starters: Path | None,
        message: Message | None = None,
    ) -> None:
        self._agency, self._agent, self._run_context, self._starters = agency, agent, run_context, starters
        self._new_input, self._history_length, self._message = list(new_input), len(history), message
        agency.thread_manager.replace_messages(history)
        if message:
            agency.thread_manager.pairs = tuple((sender, recipient) for sender, recipient in message.pairs)

    @property
    def meter(self) -> Meter:
        return self._run_context.meter

    @property
    def spending(self) -> Any:
        """Return the budget of the run; None for none."""
        return self._run_context.spending

    @property
    def pending(self) -> dict[str, dict[str, Any]]:
        """Return the open model calls by their journal keys."""
        return dict(self._run_context.journal.pending)

    @property
    def open_messages(self) -> set[str]:
        """Return the names of journal rows of messages that other runs have not answered, as far as they are known."""
        return self._run_context.journal.open_messages

    @property
    def item_ids(self) -> set[str]:
        """Return the ids of journaled output items."""
        return self._run_context.journal.ids

    @property
    def journal_hits(self) -> int:
        return self._run_context.journal.hits

    @property
    def agent(self) -> str:
        """Return the name of the agent that is addressed."""
        return self._agent

    @property
    def attempt(self) -> int:
        """Return the number of this attempt among those that have left rows in the journal."""
        return self._run_context.journal.attempt

    def usage_by_model(self) -> dict[str, dict[str, int]]:
        """Return what all attempts paid for: the provider's model -> model_calls and tokens."""
        return {model: {**counts} for model, counts in self._run_context.meter.by_model.items()}

    def count_unused_answers(self) -> None:
        """Count what this attempt has not come to: model calls within tools that have finished, and messages."""
        journal, meter = self._run_context.journal, self._run_context.meter
        for answer in journal.unused_answers():
            meter.model_calls += 1
            meter.replay(answer.response.usage, answer.model)
        for row in journal.unused_messages():
            meter.add_message(row.get("usage", {}), row.get("by_model", {}))

    def first_call(self) -> Any:
        """Return what the first model call may cost, for `Spending`. Raises UnboundedCost."""
        run, agent = self._run_context, self._agency.agents[self._agent]
        assert run.spending
        model, adapt = run.resolve(agent, RunConfig())
        settings = adapt(agent.model_settings) if adapt else agent.model_settings
        if most := run.meter.limits.client_output_tokens:
            settings = replace(settings, max_tokens=min(most, settings.max_tokens or most))
        items = self._agency.thread_manager.get_all_messages()
        texts = [agent.instructions, self._agency.shared_instructions, run.client_instructions]
        tools = [*agent.tools, *run.client_tools(agent)]
        return worst_case.of_first_call(run.spending, model, texts, [*items, *self._new_input], tools, settings)

    async def run(self, authorize: Callable[[], Awaitable[None]], send: Send) -> AgencyResult:
        """Run the agents. authorize: awaited before each model or tool call; raises to refuse it. send: see `Send`.

        Raises:
            GuardrailTriggered: a guardrail refused.
            InvalidOutput: the final output does not match output_type.
            UpstreamFailed: the model gave no usable answer.
            RunLimitExceeded: max_model_calls was reached.
            StoreUnavailable: an answer could not be stored.
        """
        calls = self._run_context.calls
        self._run_context.begin(authorize, send)
        if result := await calls.run(self._run_to_end()):
            return result
        asked = tuple(each for each in calls.requests if isinstance(each, ApprovalRequest))
        waits_for_agents = len(asked) < len(calls.requests)
        return AgencyResult(self._new_items_with_messages(), asked=asked, waits_for_agents=waits_for_agents)

    async def _run_to_end(self) -> AgencyResult:
        token = active_run.set(self._run_context)
        conversation_starters.folder.set(self._starters)
        tracing.of_run.set(self._agency._trace_processors)
        try:
            if self._message:
                return await self._deliver(self._message)
            result = await self._run_agents()
        except (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered) as error:
            raise GuardrailTriggered("A guardrail of the agency refused this run.") from error
        except AnswerIncomplete as error:
            return AgencyResult(self._new_items_with_messages(), error.reason, error.detail)
        except CallRefused as refused:
            raise refused.error from refused
        except AnswerNotStored as error:
            raise StoreUnavailable("The store could not be written.") from error
        except Exception as error:  # noqa: BLE001 - mapped to a failure of ours, or raised again
            return await self._answer_after(error)
        finally:
            active_run.reset(token)
        return self._final_result(result)

    async def _deliver(self, message: Message) -> AgencyResult:
        with self._run_context.builder.within(message.activity):
            output, failure = await deliver(self._agency, message)
        await tracing.flush()
        error = await self._error_of(failure) if failure else None
        added = plain_items(self._agency.thread_manager.get_all_messages()[self._history_length :])
        shared = self._run_context.shared
        given_back = shared.answer(self._agency.user_context) if shared else {}
        return AgencyResult(added, output=replace_surrogates(output), error=error, shared=given_back)

    async def _error_of(self, failure: Exception) -> ServiceError:
        try:
            result = await self._answer_after(failure)
        except ServiceError as error:
            return error
        except Exception:  # noqa: BLE001 - the agency's own
            return ServiceError(f"{type(failure).__name__} was raised by the agency's own code.")
        return RunLimitExceeded(f"The recipient's answer is incomplete: {result.incomplete}.")

    async def _run_agents(self) -> "RunResult":
        name = self._agency.name or "Unnamed Agency"
        config = UserRunConfig(workflow_name=name, **unknown_tools.SETTING)
        try:
            result = await self._agency.get_response(self._new_input, recipient_agent=self._agent, run_config=config)
        except (Exception, AnswerIncomplete, RunWaits):
            await tracing.flush()
            raise
        await tracing.flush()
        return result

    def _final_result(self, result: "RunResult") -> AgencyResult:
        builder = self._run_context.builder
        passed = bool(result.raw_responses)  # without a model call it is a guardrail's text
        text = "" if self._run_context.client_calls_tool and passed else text_of(result.final_output)
        if passed:
            builder.release()
        if text and (not builder.has_spoken or builder.withholds(result.last_agent.name)):
            builder.add_message(text, result.last_agent.name)
        return AgencyResult(self._new_items(), builder.incomplete)

    async def _answer_after(self, error: Exception) -> AgencyResult:
        # A refusal and an exhausted token limit end with an answer, everything else with a failure.
        if caused_by(error, ModelRefusalError):
            return AgencyResult(self._new_items_with_messages())
        if caused_by(error, OutputTokenLimit) or self._run_context.builder.incomplete:
            return AgencyResult(
                self._new_items_with_messages(), self._run_context.builder.incomplete or "max_output_tokens"
            )
        if caused_by(error, ModelCallLimit):
            calls = self._run_context.meter.limits.model_calls
            raise RunLimitExceeded(f"The run was stopped after {calls:.0f} model calls.") from error
        if misses_output_type(error):
            raise InvalidOutput("The agent's answer does not have the form of its output_type.") from error
        if unavailable := cause(error, ModelUnavailable):
            await self._run_context.journal.forget_failure(unavailable)
            raise unavailable.failure() from error
        if malformed := cause(error, ModelBehaviorError):
            failure = UpstreamFailed(NO_ANSWER)
            failure.transient = await self._run_context.journal.forget_answer(vars(malformed).get("model_output"))
            raise failure from error
        raise error

    def _new_items_with_messages(self) -> list[Item]:
        # The agents' memory lacks messages of a run that was broken off.
        metadata, new = {"agent": self._agent, "callerAgent": None}, self._new_items()
        known = [
            words_of(item["content"])
            for item in new
            if item.get("role") == "assistant" and item.get("callerAgent") is None
        ]
        messages = [{"role": "assistant", "content": item["content"]} for item in self._run_context.builder.messages]
        unknown = parse_items([item for item in messages if words_of(item["content"]) not in known])
        return [*new, *({**item, **metadata} for item in to_agent_input(unknown))]

    def _new_items(self) -> list[Item]:
        # Placeholders for the client's outputs are left out.
        messages = self._agency.thread_manager.get_all_messages()
        added = messages[self._history_length :]
        known = [message for message in added if message.get("output") != OUTPUT_PENDING]
        awaited = {message["call_id"] for message in added if message.get("output") == OUTPUT_PENDING}
        answered = {message["call_id"] for message in known if message.get("type") == "function_call_output"}
        earlier = messages[: self._history_length]
        calls = [each for each in earlier if each.get("call_id") in answered and "output" not in each]
        return list(replace_surrogates(storable([*calls, *known], awaited, len(calls))))
