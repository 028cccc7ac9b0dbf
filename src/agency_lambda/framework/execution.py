"""The agents answer once: an agency with its history, run under what the client asked for."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents import (
    InputGuardrailTripwireTriggered,
    ModelBehaviorError,
    ModelRefusalError,
    OutputGuardrailTripwireTriggered,
)

from agency_lambda.errors import (
    NO_ANSWER,
    AgencyMisconfigured,
    GuardrailTriggered,
    InvalidOutput,
    RunLimitExceeded,
    StoreUnavailable,
    UpstreamFailed,
)
from agency_lambda.framework import conversation_starters
from agency_lambda.framework.client_tools import HANDED_OVER
from agency_lambda.framework.context import RunContext
from agency_lambda.framework.interruptions import AnswerNotStored
from agency_lambda.framework.models import (
    AnswerIncomplete,
    Meter,
    ModelCallLimit,
    ModelUnavailable,
    OutputTokenLimit,
    Reason,
    UserRunConfig,
    cause,
    caused_by,
    running,
    tracing,
)
from agency_lambda.framework.output_type import misses_output_type
from agency_lambda.framework.tool_output import text_of
from agency_lambda.framework.unsupported import unapproved
from agency_lambda.history import storable
from agency_lambda.protocol.items import parse_items, to_agent_input
from agency_lambda.protocol.items import text_of as words_of
from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.protocol.types import Item

if TYPE_CHECKING:
    from agency_swarm import Agency, RunResult


@dataclass(frozen=True)
class Answer:
    """history: what the agents remember of it. incomplete: why it was ended before it was done."""

    history: list[Item]
    incomplete: Reason | None = None


class AgencyExecution:
    """An agency that is ready to answer.

    history: what its agents remember. given: the client's input as they take it. starters: the folder with the owner's
    cached answers to conversation starters, where this run may use them.
    """

    def __init__(
        self,
        agency: "Agency",
        entry: str,
        run: RunContext,
        history: list[Item],
        given: Sequence[Item],
        *,
        starters: Path | None = None,
    ) -> None:
        self._agency, self._entry, self._run = agency, entry, run
        self._given, self._before, self._starters = list(given), len(history), starters
        agency.thread_manager.replace_messages(history)

    def count_not_replayed(self) -> None:
        """Count what was paid for within tools that had finished in an earlier attempt."""
        for response in self._run.journal.unused_answers():
            self._run.meter.model_calls += 1
            self._run.meter.replay(response.usage)

    @property
    def meter(self) -> Meter:
        """Return what the run has used."""
        return self._run.meter

    @property
    def pending(self) -> frozenset[str]:
        """Return the journal's keys of model calls that are under way."""
        return frozenset(self._run.journal.pending)

    @property
    def item_ids(self) -> set[str]:
        """Return the ids of the output items that earlier attempts have in the journal."""
        return self._run.journal.ids

    @property
    def journal_hits(self) -> int:
        """Return the number of answers that an earlier attempt has left."""
        return self._run.journal.hits

    async def answer(self, authorize: Callable[[], Awaitable[None]]) -> Answer:
        """Run the agents. authorize: is awaited before each call of a model or a tool, and raises if it may not begin.

        Raises:
            AgencyMisconfigured: a tool asked for a person's approval.
            GuardrailTriggered: a guardrail of the agency refused.
            InvalidOutput: the last words have not the form of the agent's output_type.
            UpstreamFailed: the model did not answer, or not as it should.
            RunLimitExceeded: the agents went on and on.
            StoreUnavailable: what the model or a tool answered could not be kept.
        """
        self._run.authorize = authorize
        token = running.set(self._run)
        conversation_starters.folder.set(self._starters)
        tracing.of_run.set(self._agency._trace_processors)
        try:
            result = await self._run_agents()
        except (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered) as error:
            raise GuardrailTriggered("A guardrail of the agency refused this run.") from error
        except AnswerIncomplete as error:
            return Answer(self._told(), error.reason)
        except AnswerNotStored as error:
            raise StoreUnavailable("The store could not be written.") from error
        except Exception as error:  # noqa: BLE001 - told apart there, and raised again
            return await self._broken_off(error)
        finally:
            running.reset(token)
        return self._said(result)

    async def _run_agents(self) -> "RunResult":
        name = self._agency.name or "Unnamed Agency"
        config = UserRunConfig(workflow_name=name, tool_not_found_behavior="return_error_to_model")
        try:
            result = await self._agency.get_response(self._given, recipient_agent=self._entry, run_config=config)
        except (Exception, AnswerIncomplete):
            await tracing.flush()
            raise
        await tracing.flush()
        return result

    def _said(self, result: "RunResult") -> Answer:
        if result.interruptions:  # it was asked for after the agency had been checked
            raise AgencyMisconfigured(unapproved(result.interruptions[0]))
        builder = self._run.builder
        passed = bool(result.raw_responses)  # else it is what a guardrail says in the agent's place
        text = "" if self._run.handed_over and passed else text_of(result.final_output)
        if passed:
            builder.release()
        if text and (not builder.spoke or builder.waits(result.last_agent.name)):
            builder.say(text, result.last_agent.name)
        return Answer(self._new(), builder.incomplete)

    async def _broken_off(self, error: Exception) -> Answer:
        """A refusal is an answer, and at its limit of tokens a run ends with what was said; all else is a failure."""
        if caused_by(error, ModelRefusalError):
            return Answer(self._told())
        if caused_by(error, OutputTokenLimit) or self._run.builder.incomplete:
            return Answer(self._told(), self._run.builder.incomplete or "max_output_tokens")
        if caused_by(error, ModelCallLimit):
            calls = self._run.meter.most_calls
            raise RunLimitExceeded(f"The run was stopped after {calls:.0f} model calls.") from error
        if misses_output_type(error):
            raise InvalidOutput("The agent's answer does not have the form of its output_type.") from error
        if unavailable := cause(error, ModelUnavailable):
            await self._run.journal.forget_failure(unavailable)
            raise unavailable.failure() from error
        if malformed := cause(error, ModelBehaviorError):
            failed = UpstreamFailed(NO_ANSWER)
            failed.transient = await self._run.journal.forget_answer(vars(malformed).get("given"))
            raise failed from error
        raise error

    def _told(self) -> list[Item]:
        """Return what the agents add to their memory, and the words to the user that are not among it."""
        told, new = {"agent": self._entry, "callerAgent": None}, self._new()
        known = [
            words_of(item["content"])
            for item in new
            if item.get("role") == "assistant" and item.get("callerAgent") is None
        ]
        said = [{"role": "assistant", "content": item["content"]} for item in self._run.builder.said]
        unknown = parse_items([item for item in said if words_of(item["content"]) not in known])
        return [*new, *({**item, **told} for item in to_agent_input(unknown))]

    def _new(self) -> list[Item]:
        """What the agents add to their memory, without the stand-ins for what the client has yet to answer."""
        messages = self._agency.thread_manager.get_all_messages()
        added = messages[self._before :]
        known = [message for message in added if message.get("output") != HANDED_OVER]
        awaited = {message["call_id"] for message in added if message.get("output") == HANDED_OVER}
        answered = {message["call_id"] for message in known if message.get("type") == "function_call_output"}
        asked = [each for each in messages[: self._before] if each.get("call_id") in answered and "output" not in each]
        return list(replace_surrogates(storable([*asked, *known], awaited, len(asked))))
