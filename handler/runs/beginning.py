"""How a run begins: everything that can be refused is refused here, before anything is kept or asked."""

import math
from typing import TYPE_CHECKING, Any

from handler import catalogue
from handler.errors import ConversationBusy, InvalidRequest, UnknownName, UpstreamFailed
from handler.models import Meter, Models, ModelUnavailable, offline_script
from handler.offline.digest import digest
from handler.protocol import resource
from handler.protocol.items import read_items
from handler.protocol.output import Item, new_id
from handler.protocol.request import CompactRequest, CreateResponse
from handler.records import Claims, Conversation, Conversations, Place, Responses, load_turns
from handler.runs.answer import NO_ANSWER, Desk
from handler.runs.compaction import compacted
from handler.runs.keeping import Keeping
from handler.runs.narrator import Narrator
from handler.runs.refusals import refuse_clashes, refuse_loose_ends
from handler.runs.replay import Replay
from handler.runs.run import Run
from handler.runs.seam import Seam
from handler.runs.tools import watch
from handler.settings import Settings
from handler.store import Conflict, Store, open_store

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent


class Runs:
    """Made once per environment: what is shared is the model client and the store, never an agency."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models = Models(settings)
        self.store: Store = open_store(settings.store)

    async def begin(
        self,
        request: CreateResponse,
        owner: str,
        once: tuple[str, bytes] | None = None,
        thread: str | None = None,
    ) -> Run | Replay:
        """A run that can be executed, or the one that an earlier request with this idempotency key began.

        once: an idempotency key and the body that it was sent with.
        thread: a conversation by a name of the caller's own, made if it is not there.

        Raises:
            NotFound, UnknownName, InvalidRequest, UnsupportedParameter: refused, and nothing is kept.
            ConversationBusy, IdempotencyKeyReused, StoreUnavailable.
        """
        if once and not request.stored:
            raise InvalidRequest("An Idempotency-Key needs a response that is stored: 'store' is false.", param="store")
        claims = Claims(self.store, owner)
        while True:
            if once and (made := await claims.find(*once)):
                return Replay(Responses(self.store, owner), made)
            try:
                run, changes = await self._prepare(request, owner, thread)
                if once:
                    changes.append(claims.put(*once, run.response["id"]))
                if changes:
                    await self.store.write(*changes)
                return run
            except Conflict:
                continue  # somebody else began at the same moment: look again at what is there now
            except ConversationBusy:
                if not (once and await claims.find(*once)):
                    raise  # else it is busy with this very request

    async def compact(self, request: CompactRequest, owner: str) -> dict[str, Any]:
        """See `compacted`; what is not addressed to the user is no part of it.

        Raises:
            NotFound, UnknownName, InvalidRequest, UnsupportedParameter, StoreUnavailable.
            UpstreamFailed: the model did not answer.
        """
        _, entry, agency = self.build(request.model)
        items = read_items(await self._referred(request.input, owner)) if request.input else []
        if request.previous_response_id:
            place = await _stands(Responses(self.store, owner), request.previous_response_id)
            items = [*(item for turn in await load_turns(self.store, place) for item in turn.items), *items]
        model = self._models.bare(agency.agents[entry], {entry: digest})
        try:
            return await compacted(model, items, request.instructions)
        except ModelUnavailable as error:
            raise UpstreamFailed(NO_ANSWER) from error

    async def aclose(self) -> None:
        """Close the connections to the model and the store."""
        await self._models.aclose()
        await self.store.aclose()

    async def _prepare(self, request: CreateResponse, owner: str, thread: str | None) -> tuple[Run, list[Any]]:
        name, agent, built = self.build(request.model)
        given = read_items(await self._referred(request.input, owner))
        response_id = new_id("resp")
        conversations, responses = Conversations(self.store, owner), Responses(self.store, owner)
        conversation: Conversation | None = None
        if wanted := thread or request.conversation_id:
            conversation = await conversations.free(wanted, create=thread is not None)
            place = conversation.place
        elif request.previous_response_id:
            place = responses.continued(await _stands(responses, request.previous_response_id), response_id)
        else:
            place = Place().branch(responses.log(response_id))
        history = [item for turn in await load_turns(self.store, place) for item in turn.history]
        refuse_loose_ends(history, given)
        response = resource.new(request, response_id, conversation.id if conversation else None)
        live, keeping = bool(request.stream), None
        if request.stored:
            keeping = Keeping(self.store, owner, response, given, place, conversation, live)
        run = Run(response, live, keeping)
        run.desk = self._desk(run, request, name, built, agent, history, given)
        return run, keeping.begin() if keeping else []

    async def _referred(self, given: str | list[Any], owner: str) -> str | list[Any]:
        """The input with what it only refers to: items that this owner was sent before."""
        if isinstance(given, str):
            return given
        responses = Responses(self.store, owner)
        return [
            await responses.item(item, f"input[{number}]")
            if isinstance(item, dict) and item.get("type") == "item_reference"
            else item
            for number, item in enumerate(given)
        ]

    def build(self, model: str) -> tuple[str, str, "Agency"]:
        """The agency of a model name, fresh, and the agent that it addresses: "agency" or "agency/Agent".

        Raises:
            UnknownName: there is none.
        """
        name, _, agent = model.partition("/")
        name, create_agency = catalogue.find(name)
        built = catalogue.build(create_agency)
        if agent and agent not in built.agents:
            raise UnknownName(
                f"The agency {name!r} has no agent {agent!r}. GET /agencies lists them.",
                param="model",
                code="model_not_found",
            )
        return name, agent or built.entry_points[0].name, built

    def _desk(
        self,
        run: Run,
        request: CreateResponse,
        name: str,
        agency: "Agency",
        entry: str,
        history: list[Item],
        given: list[Item],
    ) -> Desk:
        refuse_clashes(agency, entry, request)
        narrator = Narrator(
            run.output,
            agents=frozenset(agency.agents),
            functions=frozenset(tool.name for tool in request.functions),
            reasoning=request.reasoning is not None and request.reasoning.summary is not None,
            silent=lambda name: _waits(agency.agents[name]),
        )
        self._limit(run.meter, request)
        seam = Seam(request, entry, run.meter, narrator, chat=self._settings.model_api == "chat")
        script = offline_script(catalogue.find(name)[1]) if self._settings.offline else None
        self._models.attach(agency, seam, script)
        for each in agency.agents.values():
            watch(each)
        return Desk(agency, entry, seam, history, given)

    def _limit(self, meter: Meter, request: CreateResponse) -> None:
        """Offline only what was asked for: calls cost nothing there, and come to an end by themselves."""
        for setting, limit in (("max_model_calls", "most_calls"), ("max_output_tokens", "most_output_tokens")):
            if not self._settings.offline or setting in self._settings.model_fields_set:
                setattr(meter, limit, getattr(self._settings, setting))
            else:
                setattr(meter, limit, math.inf)
        meter.cap = request.max_output_tokens
        meter.most_tool_calls = request.max_tool_calls or math.inf


async def _stands(responses: Responses, previous: str) -> Place:
    kept = await responses.get(previous, "previous_response_id")
    if kept.place is None:
        raise InvalidRequest(
            f"Response {previous!r} cannot be continued: it is {kept.response['status']}.", param="previous_response_id"
        )
    return kept.place


def _waits(agent: "Agent") -> bool:
    """Whether an agent's words are told only when they are its last: guardrails check them, or its type reads them."""
    return bool(agent.input_guardrails or agent.output_guardrails) or agent.output_type not in (None, str)
