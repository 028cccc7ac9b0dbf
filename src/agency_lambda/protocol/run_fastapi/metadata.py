"""An agency as a graph: names of agents and tools, and who asks whom."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

_APART = 250  # pixels between two nodes


def graph(description: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the graph of an agency.

    Args:
        description: what callers may know of it.
        version: that of Agency Swarm.
    """
    agents, flows = description["agents"], description["flows"]
    levels = _levels(description["entry_points"], flows)
    tools = {agent["name"]: [name for name in agent["tools"] if not _sends(name)] for agent in agents}
    nodes, columns = list[dict[str, Any]](), dict[int, int]()
    for agent in agents:
        level = levels.get(agent["name"], 0)
        column = columns[level] = columns.get(level, -1) + 1
        nodes.append(_agent_node(agent, tools[agent["name"]], description, (column * _APART, level * _APART)))
    return {
        "nodes": nodes,
        "edges": [_edge(flow["from"], flow["to"]) for flow in flows],
        "metadata": {
            "agencyName": description["name"],
            "totalAgents": len(agents),
            "totalTools": sum(map(len, tools.values())),
            "agents": [agent["name"] for agent in agents],
            "entryPoints": description["entry_points"],
        },
        "agency_swarm_version": version,
        "allowed_local_file_dirs": None,
    }


def _agent_node(
    agent: Mapping[str, Any], tools: Sequence[str], description: Mapping[str, Any], position: tuple[int, int]
) -> dict[str, Any]:
    name, starters, replies = agent["name"], agent["conversation_starters"], agent["quick_replies"]
    data = {
        "label": name,
        "isEntryPoint": name in description["entry_points"],
        "hasSubagents": any(flow["from"] == name for flow in description["flows"]),
        "toolCount": len(tools),
        "tools": [{"name": tool} for tool in tools],
        **({"conversationStarters": starters} if starters else {}),
        **({"quickReplies": replies} if replies else {}),
    }
    return {"id": name, "type": "agent", "data": data, "position": dict(zip("xy", position, strict=True))}


def _edge(sender: str, recipient: str) -> dict[str, Any]:
    label = {"label": "can send messages to", "bidirectional": False}
    pair = {"source": sender, "target": recipient}
    return {"id": f"{sender}->{recipient}", **pair, "type": "communication", "data": label}


def _levels(entry_points: Sequence[str], flows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Return how many messages an agent is away from the user."""
    levels, waiting = dict.fromkeys(entry_points, 0), deque(entry_points)
    while waiting:
        sender = waiting.popleft()
        for flow in flows:
            if flow["from"] == sender and flow["to"] not in levels:
                levels[flow["to"]] = levels[sender] + 1
                waiting.append(flow["to"])
    return levels


def _sends(tool: str) -> bool:
    return tool.startswith("send_message")
