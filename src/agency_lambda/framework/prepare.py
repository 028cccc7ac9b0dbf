"""Builds the agency of one run anew, with the context that its models and tools find."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agents import Model, RunConfig

from agency_lambda.errors import LINKS_REFUSED, AgencyMisconfigured, UnsupportedParameter
from agency_lambda.framework import conversation_starters, mcp_servers
from agency_lambda.framework.building import CreateAgency, addressed_agent, build
from agency_lambda.framework.client_options import ClientOptions
from agency_lambda.framework.client_tools import refuse_clashes
from agency_lambda.framework.context import RunContext
from agency_lambda.framework.execution import AgencyExecution
from agency_lambda.framework.isolation import assign_run, isolate
from agency_lambda.framework.models import Limits, Meter, Models
from agency_lambda.framework.models.offline import agency_script
from agency_lambda.framework.response_builder import ResponseBuilder
from agency_lambda.framework.run_input import RunInput
from agency_lambda.framework.unsupported import refused_by_chat
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.types import Item
from agency_lambda.settings import Settings

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent

    from agency_lambda.framework.signed_reasoning import ReasoningSigner
    from agency_lambda.offline import Script


class AgencyEntry(Protocol):
    """An entry of AGENCIES. A limit of None is the service's default."""

    @property
    def factory(self) -> CreateAgency: ...

    @property
    def model(self) -> str | None: ...

    @property
    def max_model_calls(self) -> int | None: ...

    @property
    def max_output_tokens(self) -> int | None: ...


async def prepare_run(name: str, entry: AgencyEntry, models: Models, run_input: RunInput) -> AgencyExecution:
    """Build the agency of a request and return it ready to answer. name: the agency's, in AGENCIES.

    Raises:
        UnknownName: the agency has no such agent.
        AgencyMisconfigured: the agency cannot be built or run here.
        InvalidRequest: the request clashes with the agent.
        UpstreamFailed: an MCP server could not be reached.
    """
    request, chat = run_input.request, models.settings.model_api == "chat"
    signer = _signer(name, models, run_input)
    agency, agent = await build_addressed(name, entry, request.model, chat=chat)
    refuse_clashes(agency, agent, request)
    if run_input.is_new:
        _refuse_links(run_input.links, models, entry, agency.agents[agent])
    at_openai = _knows_openai_alone(request) and _is_openai(_model(models, entry, agency.agents[agent]))
    options = ClientOptions(request, chat=chat, at_openai=at_openai)
    context = RunContext(
        run_input,
        agency,
        agency.agents[agent],
        options,
        meter=Meter(_limits(request, entry, models.settings, is_free=models.is_free(agency, entry.model))),
        builder=_response_builder(run_input, agency, signer),
        models=models.of_run(_offline_script(entry, models), entry.model),
        settings=models.settings,
    )
    assign_run(agency, context)
    models.attach(agency, context)
    starters = _starters_folder(name, agency.agents[agent], run_input, options)
    return AgencyExecution(
        agency,
        agent,
        context,
        history=run_input.history,
        new_input=_verified(signer, run_input.new_input, agent),
        starters=starters,
        message=run_input.message,
    )


async def build_addressed(name: str, entry: AgencyEntry, model: str, *, chat: bool) -> tuple["Agency", str]:
    """Return a fresh agency and its addressed agent. Raises as `prepare_run`."""
    agency = build(entry.factory)
    agent = addressed_agent(agency, name, model.partition("/")[2])
    if chat and (reason := refused_by_chat(agency)):
        raise AgencyMisconfigured(reason)
    isolate(agency)
    await mcp_servers.connect(agency.agents.values())
    return agency, agent


def _model(models: Models, entry: AgencyEntry, agent: "Agent") -> Model:
    """Return the model that the addressed agent asks first."""
    return models.resolver(_offline_script(entry, models), entry.model)(agent, RunConfig())[0]


def _signer(name: str, models: Models, run_input: RunInput) -> "ReasoningSigner | None":
    """Return what signs reasoning for the client, if some is asked for or sent back. name: the agency's."""
    used = run_input.request.wants_encrypted_reasoning or any(
        item.get("type") == "reasoning" for item in run_input.new_input
    )
    if not used or models.secret is None:
        return None
    from agency_lambda.framework.signed_reasoning import ReasoningSigner  # few clients ask for it

    return ReasoningSigner(models.secret, run_input.owner, name)


def _verified(signer: "ReasoningSigner | None", items: list[Item], agent: str) -> list[Item]:
    return signer.verified(items, agent) if signer else [item for item in items if item.get("type") != "reasoning"]


def _is_openai(model: Model) -> bool:
    from agency_lambda.framework.models.endpoint import is_openai  # few requests depend on it

    return is_openai(model)


def _refuse_links(links: Sequence[tuple[str, str, str]], models: Models, entry: AgencyEntry, agent: "Agent") -> None:
    """Raises UnsupportedParameter if the agent's model may be sent no links."""
    if not links:
        return
    from agency_lambda.framework.models.links import taken

    kinds = taken(_model(models, entry, agent), models.settings.linked_content)
    for param, kind, _ in links:
        if kind not in kinds:
            raise UnsupportedParameter(LINKS_REFUSED, param=param)


def _knows_openai_alone(request: CreateResponse) -> bool:
    return bool(request.prompt_cache_retention or request.prompt_cache_options)


def _limits(request: CreateResponse, entry: AgencyEntry, settings: Settings, *, is_free: bool) -> Limits:
    # The settings' defaults do not limit runs whose calls cost nothing.
    def from_settings(setting: str) -> float:
        applies = setting in settings.model_fields_set or not is_free
        return float(getattr(settings, setting)) if applies else math.inf

    return Limits(
        model_calls=entry.max_model_calls or from_settings("max_model_calls"),
        output_tokens=entry.max_output_tokens or from_settings("max_output_tokens"),
        tool_calls=request.max_tool_calls or math.inf,
        client_output_tokens=request.max_output_tokens,
    )


def _response_builder(run_input: RunInput, agency: "Agency", signer: "ReasoningSigner | None") -> ResponseBuilder:
    request = run_input.request
    return ResponseBuilder(
        run_input.output,
        response_id=run_input.root,
        agents=frozenset(agency.agents),
        client_functions=frozenset(tool.name for tool in request.function_tools),
        reasoning=request.reasoning is not None and request.reasoning.asks_for_summary,
        encrypt=signer.sign if signer and request.wants_encrypted_reasoning else None,
        withholds=lambda name: name in agency.agents and _is_checked_at_end(agency.agents[name]),
    )


def _offline_script(entry: AgencyEntry, models: Models) -> "Mapping[str, Script] | None":
    return agency_script(entry.factory) if models.offline else None


def _starters_folder(name: str, agent: "Agent", run_input: RunInput, options: ClientOptions) -> Path | None:
    # Only a request without options of its own may use cached answers.
    caches = agent.quick_replies or (agent.cache_conversation_starters and agent.conversation_starters)
    is_plain = run_input.request.stored and not options.any and not run_input.request.metadata
    return conversation_starters.folder_of(run_input.owner, name) if caches and is_plain else None


def _is_checked_at_end(agent: "Agent") -> bool:
    # Guardrails or an output type check the final output before it may be shown.
    return bool(agent.input_guardrails or agent.output_guardrails) or agent.output_type not in (None, str)
