from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agency_swarm import Agency


def describe(name: str, agency: "Agency") -> dict[str, Any]:
    """Return what callers may know of an agency; never instructions."""
    return {
        "name": name,
        "entry_points": [agent.name for agent in agency.entry_points],
        "agents": [
            {
                "name": agent.name,
                "tools": sorted(tool.name for tool in agent.tools),
                "conversation_starters": agent.conversation_starters or [],
                "quick_replies": agent.quick_replies or [],
            }
            for agent in agency.agents.values()
        ],
        "flows": [
            {"from": sender.name, "to": recipient.name} for sender, recipient in agency._derived_communication_flows
        ],
    }
