"""What keeps runs apart that use the same agents: those at the top of a module, which every `create_agency()` takes.

Agency Swarm 1.11.0 writes what one run needs onto agents and agencies: instructions, handoffs, settings, tools, whom an
agent is waiting for, and the history. So a run works on copies of its agents, wired by the framework's own functions.
Agencies and agents that its tools call, and that were made before the run, are copied when they are called, an agency
once a run. What was made within the run is its own already.
"""

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import ref

from agency_lambda.framework.building import copy_agency
from agency_lambda.framework.context import RunContext, current_run

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent

_LISTS = ("tools", "handoffs", "mcp_servers", "input_guardrails", "output_guardrails")
_RUN = "_agency_lambda_own"  # on agents and agencies: a reference to the run that they belong to


def isolate(agency: "Agency") -> None:
    """Replace the agents of a fresh agency by copies, so that nobody else has them."""
    from agency_swarm.agency import setup

    copies = {id(agent): _copied(agent) for agent in agency.agents.values()}
    for each in copies.values():
        each.handoffs = [_to_copy(handoff, copies) for handoff in each.handoffs]
    agency.agents = {name: copies[id(agent)] for name, agent in agency.agents.items()}
    agency.entry_points = [copies[id(agent)] for agent in agency.entry_points]
    flows = [(copies[id(one)], copies[id(other)]) for one, other in agency._derived_communication_flows]
    agency._derived_communication_flows = flows
    agency._agent_runtime_state = {}
    setup.initialize_agent_runtime_state(agency)
    setup.configure_agents(agency, flows)
    agency._configure_oauth_support()


def _copied(agent: "Agent") -> "Agent":
    from agency_swarm.agent import Execution, setup_file_manager
    from agency_swarm.tools.concurrency import ToolConcurrencyManager

    made = copy(agent)
    for name in _LISTS:
        setattr(made, name, [*getattr(made, name)])
    made.model_settings = copy(made.model_settings)
    made._execution = Execution(made)
    made._tool_concurrency_manager = ToolConcurrencyManager()
    setup_file_manager(made)
    return made


def _to_copy(handoff: Any, copies: "dict[int, Agent]") -> Any:
    """Lead a handoff that the agency's code has made to the copy of its agent."""
    if id(handoff) in copies:
        return copies[id(handoff)]
    reference = getattr(handoff, "_agent_ref", None)
    target = copies.get(id(reference())) if reference else None
    if target is None:
        return handoff

    async def on_invoke_handoff(*args: Any) -> Any:
        await handoff.on_invoke_handoff(*args)  # the user's own callback is called in there
        return target

    made = copy(handoff)
    made.on_invoke_handoff, made._agent_ref = on_invoke_handoff, ref(target)
    return made


def assign_run(agency: "Agency", run: RunContext) -> None:
    """Mark an agency as a run's, and tell its tools who called."""
    vars(agency)[_RUN] = ref(run)
    agency.user_context = {**agency.user_context, **run.caller}


def install() -> None:
    """Have agencies and agents that are called within a run, but were made before, work on copies."""
    from agency_swarm import Agency, Agent
    from agency_swarm.agency import responses

    vars(responses)["get_response"] = _in_own_agency(responses.get_response)
    vars(responses)["get_response_stream"] = _in_own_agency(responses.get_response_stream)
    Agent.get_response = _on_own_agent(Agent.get_response)
    Agent.get_response_stream = _on_own_agent(Agent.get_response_stream)
    Agency.__new__ = _new


def _new(cls: "type[Agency]", *args: Any, **named: Any) -> "Agency":
    """Mark a new agency. A wrapped `__init__` would hide its caller's folder from the framework."""
    made = object.__new__(cls)
    if run := current_run():
        vars(made)[_RUN] = ref(run)
    return made


def _in_own_agency(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def called(agency: "Agency", message: Any, recipient_agent: Any = None, *args: Any, **named: Any) -> Any:
        if run := current_run():
            agency = _of_run(agency, run)
            recipient_agent = getattr(recipient_agent, "name", recipient_agent)
        return function(agency, message, recipient_agent, *args, **named)

    return called


def _of_run(agency: "Agency", run: RunContext) -> "Agency":
    """The agency itself if it was made within the run, else the run's copy of it, which begins without a history."""
    of = vars(agency).get(_RUN)
    if of is not None and of() is run:
        if not run.caller.items() <= agency.user_context.items():
            assign_run(agency, run)
        return agency
    if id(agency) not in run.copies:
        made = copy_agency(agency)
        isolate(made)
        assign_run(made, run)
        run.copies[id(agency)] = (agency, made)
    return run.copies[id(agency)][1]


def _on_own_agent(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def called(self: "Agent", message: Any, *args: Any, **named: Any) -> Any:
        """Call a copy of an agent that is called without an agency: other runs may share it."""
        run = current_run()
        if run is not None and not args and named.get("agency_context") is None:
            self = _copied(self)
            named["context_override"] = {**(named.get("context_override") or {}), **run.caller}
        return function(self, message, *args, **named)

    return called
