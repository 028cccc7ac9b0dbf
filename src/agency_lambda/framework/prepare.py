"""Prepare a run: a fresh agency on its history, with its models, its tools and the builder of its response."""

import math
from typing import TYPE_CHECKING, Any

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework import conversation_starters, hosted_tools, mcp_servers, tools
from agency_lambda.framework.context import RunContext
from agency_lambda.framework.execution import AgencyExecution
from agency_lambda.framework.isolation import install, isolate, own
from agency_lambda.framework.models import Meter, Models, offline_script
from agency_lambda.framework.response_builder import ResponseBuilder
from agency_lambda.framework.unsupported import refused_by_chat
from agency_lambda.history import UniqueIds
from agency_lambda.history.turns import HistoryCursor, load_history
from agency_lambda.protocol.items import to_agent_input
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.journal import Journal
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.validation import refuse_clashes, refuse_loose_ends
from agency_lambda.settings import Settings
from agency_lambda.store import Store

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent


async def prepare_run(
    run: Attempt,
    request: CreateResponse,
    owner: str,
    given: list[Item],
    place: HistoryCursor,
    *,
    settings: Settings,
    models: Models,
    store: Store,
) -> Journal:
    """Build the request's agency, load its history and give the run an `AgencyExecution`. Returns the run's journal."""
    install()
    await models.refresh()
    name, entry, agency = build(request.model)
    if settings.model_api == "chat" and (refused := refused_by_chat(agency)):
        raise AgencyMisconfigured(refused)
    isolate(agency)
    await mcp_servers.connect(agency.agents.values())
    refuse_clashes(agency, entry, request)
    history = await load_history(store, place)
    added = to_agent_input(given)
    refuse_loose_ends(history, given, added)
    response_id, limits = run.response["id"], catalogue.entry(name)
    builder = _response_builder(run, request, agency)
    _limit(run.meter, request, limits, settings, is_free=models.is_free(agency, limits.model))
    journal = Journal(
        store if request.stored else None, Responses(store, owner), response_id, UniqueIds([*history, *added])
    )
    if run.keeping:
        run.keeping.pending = journal.pending
    chat = settings.model_api == "chat"
    context = RunContext(request, agency.agents[entry], run.meter, builder, journal, chat=chat, response=response_id)
    context.authorize = run.authorize
    context.caller = _caller(run.response, owner)
    own(agency, context)
    models.attach(agency, context, offline_script(catalogue.find(name)[1]) if models.offline else None, limits.model)
    tools.install()
    hosted_tools.install()
    run.execution = AgencyExecution(agency, entry, context, history, added)
    plain = request.stored and not context.asks_more and not request.metadata
    if plain and _has_cached_starters(agency.agents[entry]):
        run.execution.starters = conversation_starters.folder_of(owner, name)
    return journal


def _limit(
    meter: Meter, request: CreateResponse, agency: catalogue.Entry, settings: Settings, *, is_free: bool
) -> None:
    """Set the limits of a run. Where calls cost nothing, only limits that were set hold."""
    for setting, limit in (("max_model_calls", "most_calls"), ("max_output_tokens", "most_output_tokens")):
        asked = setting in settings.model_fields_set or not is_free
        general = getattr(settings, setting) if asked else math.inf
        setattr(meter, limit, getattr(agency, setting) or general)
    meter.cap = request.max_output_tokens
    meter.most_tool_calls = request.max_tool_calls or math.inf


def _response_builder(run: Attempt, request: CreateResponse, agency: "Agency") -> ResponseBuilder:
    return ResponseBuilder(
        run.output,
        response=run.response["id"],
        agents=frozenset(agency.agents),
        functions=frozenset(tool.name for tool in request.function_tools),
        reasoning=request.reasoning is not None and request.reasoning.summary is not None,
        silent=lambda name: name in agency.agents and _waits(agency.agents[name]),
    )


def _caller(response: ResponseObject, owner: str) -> dict[str, Any]:
    """What the tools of a run may know of who called it."""
    conversation = response.get("conversation") or {}
    return {
        "owner": owner,
        "response_id": response["id"],
        "conversation_id": conversation.get("id"),
        "metadata": dict(response["metadata"]),
    }


def build(model: str) -> tuple[str, str, "Agency"]:
    """The agency of a model name, fresh, and the agent that it addresses: "agency" or "agency/Agent".

    Raises:
        UnknownName: there is none.
    """
    name, _, agent = model.partition("/")
    name, create_agency = catalogue.find(name)
    built = catalogue.build(create_agency)
    if agent and agent not in built.agents:
        raise catalogue.unknown_agent(name, agent)
    return name, agent or built.entry_points[0].name, built


def _has_cached_starters(agent: "Agent") -> bool:
    return bool(agent.quick_replies or (agent.cache_conversation_starters and agent.conversation_starters))


def _waits(agent: "Agent") -> bool:
    """Whether an agent's words are told only when they are its last: guardrails check them, or its type reads them."""
    return bool(agent.input_guardrails or agent.output_guardrails) or agent.output_type not in (None, str)
