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
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.runs.journal import Journal
from agency_lambda.runs.validation import refuse_clashes
from agency_lambda.settings import Settings

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent


async def prepare_run(
    request: CreateResponse,
    response: ResponseObject,
    owner: str,
    history: list[Item],
    added: list[Item],
    output: OutputBuilder,
    journal: Journal,
    *,
    settings: Settings,
    models: Models,
) -> AgencyExecution:
    """Build the agency of a request, and return it ready to answer.

    history: what its agents remember. added: the input as they take it. output: of the response.

    Raises:
        UnknownName, InvalidRequest: the agency cannot be asked so.
        AgencyMisconfigured, AgencyNotConfigured, SecretUnavailable.
    """
    install()
    await models.refresh()
    name, entry, agency = build(request.model)
    if settings.model_api == "chat" and (refused := refused_by_chat(agency)):
        raise AgencyMisconfigured(refused)
    isolate(agency)
    await mcp_servers.connect(agency.agents.values())
    refuse_clashes(agency, entry, request)
    limits = catalogue.entry(name)
    context = RunContext(
        request,
        agency.agents[entry],
        _meter(request, limits, settings, is_free=models.is_free(agency, limits.model)),
        _response_builder(output, response["id"], request, agency),
        journal,
        chat=settings.model_api == "chat",
        response=response["id"],
        caller=_caller(response, owner),
    )
    own(agency, context)
    models.attach(agency, context, offline_script(catalogue.find(name)[1]) if models.offline else None, limits.model)
    tools.install()
    hosted_tools.install()
    plain = request.stored and not context.asks_more and not request.metadata
    starters = plain and _has_cached_starters(agency.agents[entry])
    folder = conversation_starters.folder_of(owner, name) if starters else None
    return AgencyExecution(agency, entry, context, history, added, starters=folder)


def _meter(request: CreateResponse, agency: catalogue.Entry, settings: Settings, *, is_free: bool) -> Meter:
    """Return the meter of a run with its limits. Where calls cost nothing, only limits that were set hold."""
    meter = Meter()
    for setting, limit in (("max_model_calls", "most_calls"), ("max_output_tokens", "most_output_tokens")):
        asked = setting in settings.model_fields_set or not is_free
        general = getattr(settings, setting) if asked else math.inf
        setattr(meter, limit, getattr(agency, setting) or general)
    meter.cap = request.max_output_tokens
    meter.most_tool_calls = request.max_tool_calls or math.inf
    return meter


def _response_builder(
    output: OutputBuilder, response_id: str, request: CreateResponse, agency: "Agency"
) -> ResponseBuilder:
    return ResponseBuilder(
        output,
        response=response_id,
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
