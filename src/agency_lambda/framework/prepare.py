"""What a run needs to run: a fresh agency on its history, its models, its tools, and somebody who tells of it all."""

import math
from typing import TYPE_CHECKING, Any

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework import conversation_starters, mcp_servers, other_tools, tools
from agency_lambda.framework.context import Seam
from agency_lambda.framework.execution import Desk
from agency_lambda.framework.isolation import install, isolate, own
from agency_lambda.framework.models import Meter, Models, offline_script
from agency_lambda.framework.output import Narrator
from agency_lambda.framework.unsupported import refused_by_chat
from agency_lambda.history import UniqueIds
from agency_lambda.history.turns import HistoryCursor, load_history
from agency_lambda.protocol.items import for_agents
from agency_lambda.protocol.output import Item
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.resource import Resource
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.journal import Journal
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.validation import refuse_clashes, refuse_loose_ends
from agency_lambda.settings import Settings
from agency_lambda.store import Store

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent


class Equipment:
    """Of one environment: the models are shared, agencies never."""

    def __init__(self, settings: Settings, models: Models, store: Store) -> None:
        self._settings, self._models, self._store = settings, models, store
        install()

    async def equip(
        self, run: Attempt, request: CreateResponse, owner: str, given: list[Item], place: HistoryCursor
    ) -> Journal:
        """Give a run its agents, on what was said before."""
        await self._models.refresh()
        name, entry, agency = build(request.model)
        if self._settings.model_api == "chat" and (refused := refused_by_chat(agency)):
            raise AgencyMisconfigured(refused)
        isolate(agency)
        await mcp_servers.connect(agency.agents.values())
        refuse_clashes(agency, entry, request)
        history = await load_history(self._store, place)
        added = for_agents(given)
        refuse_loose_ends(history, given, added)
        response_id, limits = run.response["id"], catalogue.entry(name)
        narrator = _narrator(run, request, agency)
        self._limit(run.meter, request, limits, self._models.is_free(agency, limits.model))
        store = self._store if request.stored else None
        call_ids = UniqueIds([*history, *added])
        journal = Journal(store, Responses(self._store, owner), response_id, call_ids)
        if run.keeping:
            run.keeping.pending = journal.pending
        chat = self._settings.model_api == "chat"
        seam = Seam(request, agency.agents[entry], run.meter, narrator, journal, chat=chat, response=response_id)
        seam.authorize = run.authorize
        seam.caller = _caller(run.response, owner)
        own(agency, seam)
        script = offline_script(catalogue.find(name)[1]) if self._models.offline else None
        self._models.attach(agency, seam, script, limits.model)
        tools.install()
        other_tools.install()
        run.desk = Desk(agency, entry, seam, history, added)
        if (
            request.stored
            and not seam.asks_more
            and not request.metadata
            and _has_cached_starters(agency.agents[entry])
        ):
            run.desk.starters = conversation_starters.folder_of(owner, name)
        return journal

    def _limit(self, meter: Meter, request: CreateResponse, agency: catalogue.Entry, is_free: bool) -> None:
        """Where calls cost nothing, only what was asked for: they come to an end by themselves."""
        for setting, limit in (("max_model_calls", "most_calls"), ("max_output_tokens", "most_output_tokens")):
            asked = setting in self._settings.model_fields_set or not is_free
            general = getattr(self._settings, setting) if asked else math.inf
            setattr(meter, limit, getattr(agency, setting) or general)
        meter.cap = request.max_output_tokens
        meter.most_tool_calls = request.max_tool_calls or math.inf


def _narrator(run: Attempt, request: CreateResponse, agency: "Agency") -> Narrator:
    return Narrator(
        run.output,
        response=run.response["id"],
        agents=frozenset(agency.agents),
        functions=frozenset(tool.name for tool in request.functions),
        reasoning=request.reasoning is not None and request.reasoning.summary is not None,
        silent=lambda name: name in agency.agents and _waits(agency.agents[name]),
    )


def _caller(response: Resource, owner: str) -> dict[str, Any]:
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
