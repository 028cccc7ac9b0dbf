"""Copies agencies and agents for each run, as the framework writes a run's instructions, tools and history onto them.

Those that tools call are copied at the call, unless they were made within the run.
"""

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import ref

from agency_lambda.framework.building import copy_agency
from agency_lambda.framework.context import RunContext, current_run

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent, MasterContext

_LISTS = ("tools", "handoffs", "mcp_servers", "input_guardrails", "output_guardrails")
_INSTRUCTIONS = "_agency_lambda_instructions"  # attribute of an agent: those without what a message has added
_RUN = "_agency_lambda_run"  # attribute of an agency: a weak reference to the run that it belongs to


def isolate(agency: "Agency") -> None:
    """Replace the agents of an agency by copies and wire them."""
    from agency_swarm.agency import setup

    copies = {id(agent): _copy_agent(agent) for agent in agency.agents.values()}
    for agent in copies.values():
        vars(agent)[_INSTRUCTIONS] = agent.instructions
    for each in copies.values():
        each.handoffs = [_redirect(handoff, copies) for handoff in each.handoffs]
    agency.agents = {name: copies[id(agent)] for name, agent in agency.agents.items()}
    agency.entry_points = [copies[id(agent)] for agent in agency.entry_points]
    flows = [(copies[id(one)], copies[id(other)]) for one, other in agency._derived_communication_flows]
    agency._derived_communication_flows = flows
    agency._agent_runtime_state = {}
    setup.initialize_agent_runtime_state(agency)
    setup.configure_agents(agency, flows)
    agency._configure_oauth_support()


def _copy_agent(agent: "Agent") -> "Agent":
    from agency_swarm.agent import Execution, setup_file_manager
    from agency_swarm.tools.concurrency import ToolConcurrencyManager

    copied = copy(agent)
    for name in _LISTS:
        setattr(copied, name, [*getattr(copied, name)])
    copied.model_settings = copy(copied.model_settings)
    copied._execution = Execution(copied)
    copied._tool_concurrency_manager = ToolConcurrencyManager()
    setup_file_manager(copied)
    return copied


def copy_recipient(agent: "Agent", context: "MasterContext") -> "tuple[MasterContext, Agent]":
    """Return a context and an agent for one message, with copies of the agents that it may be handed to."""
    from agency_swarm.tools.concurrency import ToolConcurrencyManager

    copied, states = copy(context), {**context.agent_runtime_state}
    reached = _reached_by_handoffs(agent, context)
    copies = {id(each): _copy_for_message(each) for each in reached}
    for each in reached:
        copies[id(each)].handoffs = [_redirect(handoff, copies) for handoff in each.handoffs]
        if state := states.get(each.name):
            states[each.name] = state = copy(state)
            state.tool_concurrency_manager = ToolConcurrencyManager()
            state.handoffs = [_redirect(handoff, copies) for handoff in state.handoffs]
    copied.agents = {name: copies.get(id(each), each) for name, each in context.agents.items()}
    copied.agent_runtime_state = states
    return copied, copies[id(agent)]


def copy_tool[T](tool: T) -> T:
    """Return a shallow copy. Not by `copy`: of a function tool that calls `__init__`, which subclasses change."""
    copied = object.__new__(type(tool))
    vars(copied).update(vars(tool))
    return copied


def _copy_for_message(agent: "Agent") -> "Agent":
    # Its lists stay shared: what a tool adds to its agent stays there.
    from agency_swarm.agent import Execution, setup_file_manager

    copied = copy(agent)
    copied.instructions = vars(agent).get(_INSTRUCTIONS, agent.instructions)
    copied._execution = Execution(copied)
    setup_file_manager(copied)
    return copied


def _reached_by_handoffs(agent: "Agent", context: "MasterContext") -> "list[Agent]":
    reached, others = [agent], [each for each in context.agents.values() if each is not agent]
    for each in reached:
        state = context.agent_runtime_state.get(each.name)
        handoffs = [*each.handoffs, *(state.handoffs if state else ())]
        targets = [getattr(handoff, "_agent_ref", lambda: handoff)() for handoff in handoffs]  # noqa: B023
        reached += [other for other in others if other not in reached and any(other is target for target in targets)]
    return reached


def _redirect(handoff: Any, copies: "dict[int, Agent]") -> Any:
    if id(handoff) in copies:
        return copies[id(handoff)]
    reference = getattr(handoff, "_agent_ref", None)
    target = copies.get(id(reference())) if reference else None
    if target is None:
        return handoff

    async def on_invoke_handoff(*args: Any) -> Any:
        await handoff.on_invoke_handoff(*args)  # calls the user's `on_handoff`
        return target

    redirected = copy(handoff)
    redirected.on_invoke_handoff, redirected._agent_ref = on_invoke_handoff, ref(target)
    return redirected


def assign_run(agency: "Agency", run: RunContext) -> None:
    """Mark an agency as a run's and add the caller to its user context."""
    vars(agency)[_RUN] = ref(run)
    agency.user_context = {**agency.user_context, **run.caller}


def install() -> None:
    from agency_swarm import Agency, Agent
    from agency_swarm.agency import responses

    vars(responses)["get_response"] = _with_agency_of_run(responses.get_response)
    vars(responses)["get_response_stream"] = _with_agency_of_run(responses.get_response_stream)
    Agent.get_response = _with_copied_agent(Agent.get_response)
    Agent.get_response_stream = _with_copied_agent(Agent.get_response_stream)
    Agency.__new__ = _new_agency


def _new_agency(cls: "type[Agency]", *args: Any, **named: Any) -> "Agency":
    # Not in `__init__`: a wrapper of it would hide its caller's folder from the framework.
    agency = object.__new__(cls)
    if run := current_run():
        vars(agency)[_RUN] = ref(run)
    return agency


def _with_agency_of_run(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def called(agency: "Agency", message: Any, recipient_agent: Any = None, *args: Any, **named: Any) -> Any:
        if run := current_run():
            agency = _agency_of_run(agency, run)
            recipient_agent = getattr(recipient_agent, "name", recipient_agent)
        return function(agency, message, recipient_agent, *args, **named)

    return called


def _agency_of_run(agency: "Agency", run: RunContext) -> "Agency":
    # An agency that was made before the run is copied once for it, without its history.
    marked = vars(agency).get(_RUN)
    if marked is not None and marked() is run:
        if not run.caller.items() <= agency.user_context.items():
            assign_run(agency, run)
        return agency
    if id(agency) not in run.copies:
        copied = copy_agency(agency)
        isolate(copied)
        assign_run(copied, run)
        run.copies[id(agency)] = (agency, copied)
    return run.copies[id(agency)][1]


def _with_copied_agent(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def called(self: "Agent", message: Any, *args: Any, **named: Any) -> Any:
        # Other runs may share an agent that is called without an agency.
        run = current_run()
        if run is not None and not args and named.get("agency_context") is None:
            self = _copy_agent(self)
            named["context_override"] = {**(named.get("context_override") or {}), **run.caller}
        return function(self, message, *args, **named)

    return called
