"""Run an agency once: build it, load its history, run it, save what is new."""

import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agents import InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered
from pydantic_core import to_json

from handler import catalogue
from handler.errors import GuardrailTriggered, RunLimitExceeded, UnknownName, UpstreamFailed
from handler.event_loop import current
from handler.models import Meter, ModelCallLimit, Models, caused_by, is_upstream_failure, offline_script
from handler.settings import Settings
from handler.store import Store
from handler.store.sqlite import SQLiteStore

if TYPE_CHECKING:
    from agency_swarm import Agency, RunResult


@dataclass(frozen=True)
class Completed:
    """A finished run. `usage` counts every model call of every agent, nested ones too."""

    response: str
    run_id: str
    thread_id: str
    agency: str
    agent: str
    usage: dict[str, int]


class Runs:
    """Made once per environment: what is shared is the model client and the store, never an agency."""

    def __init__(self, settings: Settings) -> None:
        self._models = Models(settings)
        self._store: Store = SQLiteStore(settings.store.removeprefix("sqlite:///"))

    async def complete(self, message: str, agency: str | None, agent: str | None, thread_id: str | None) -> Completed:
        """Answer one message.

        Raises:
            UnknownName: no such agency or agent.
            GuardrailTriggered: a guardrail of the agency refused.
            UpstreamFailed: the model did not answer, or not as it should.
            RunLimitExceeded: the agents went on and on.
            StoreUnavailable, ConversationBusy: the history could not be loaded, or grew meanwhile.
        """
        name, create_agency = catalogue.find(agency)
        built, meter = catalogue.build(create_agency), Meter()
        if agent is not None and agent not in built.agents:
            raise UnknownName(f"The agency {name!r} has no agent {agent!r}. GET /agencies lists them.")
        script = offline_script(create_agency) if self._models.settings.offline else None
        self._models.attach(built, meter, script)
        thread_id = thread_id or f"thread_{uuid.uuid4().hex}"
        conversation = f"{name}/{thread_id}"
        history = await self._store.load(conversation)
        built.thread_manager.replace_messages(list(history))
        result = await _respond(built, message, agent, meter)
        new = _writable(built.thread_manager.get_all_messages()[len(history) :])
        await self._store.append(conversation, len(history), new)
        return Completed(
            response=_text(result.final_output),
            run_id=f"run_{uuid.uuid4().hex}",
            thread_id=thread_id,
            agency=name,
            agent=result.last_agent.name,
            usage=asdict(meter),
        )

    async def aclose(self) -> None:
        """Close the model client's connections."""
        await self._models.aclose()


async def _respond(agency: "Agency", message: str, agent: str | None, meter: Meter) -> "RunResult":
    started = time.monotonic()
    try:
        return await agency.get_response(message, recipient_agent=agent)
    except (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered) as error:
        raise GuardrailTriggered("A guardrail of the agency refused this run.") from error
    except Exception as error:
        if caused_by(error, ModelCallLimit):
            raise RunLimitExceeded(f"The run was stopped after {meter.limit:.0f} model calls.") from error
        if is_upstream_failure(error):
            raise UpstreamFailed(
                "The model did not answer as it should. The request id finds the reason in the log."
            ) from error
        raise
    finally:
        _note(run_duration_ms=round(1000 * (time.monotonic() - started), 1), **asdict(meter))


def _note(**facts: Any) -> None:
    """For the log line and the metrics of this invocation."""
    if invocation := current.get():
        invocation.ledger.facts.update(facts)


def _text(output: Any) -> str:
    """A text as it is; what an `output_type` made, as JSON."""
    text = "" if output is None else output if isinstance(output, str) else to_json(output).decode()
    return str(_writable(text))


def _writable(value: Any) -> Any:
    """Without halves of surrogate pairs, which a model can cut an emoji into and no UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_writable(each) for each in value]
    return {key: _writable(each) for key, each in value.items()} if isinstance(value, dict) else value
