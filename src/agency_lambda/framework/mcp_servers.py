"""MCP servers of agents: connected by the run that needs them, never when an agency is built.

Agency Swarm 1.11.0 connects to `Agent(mcp_servers=[...])` in the agent's constructor and waits for it on the event
loop, up to 20 seconds; a server that was away once stays away for as long as the process lives. Here building an agency
opens no connection, a run connects on a worker thread, and what has failed is tried again by the next run.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agency_lambda.errors import UpstreamFailed
from agency_lambda.framework.building import is_building

if TYPE_CHECKING:
    from agency_swarm import Agent


def install() -> None:
    """Have the framework connect to no server while an agency is built."""
    from agency_swarm.agent import core

    convert = core.convert_mcp_servers_to_tools

    def convert_in_a_run(agent: "Agent", **options: Any) -> list[Any]:
        return [] if is_building() else convert(agent, **options)

    core.convert_mcp_servers_to_tools = convert_in_a_run


async def connect(agents: Iterable[Any]) -> None:
    """Give agents the tools of their MCP servers. Connected servers are only asked for their tools.

    Raises:
        UpstreamFailed: a server could not be reached. The text names it; the log says why.
    """
    for agent in agents:
        if getattr(agent, "mcp_servers", None) and hasattr(agent, "ensure_mcp_tools"):
            servers = [*agent.mcp_servers]
            agent._mcp_tools_initialized = False
            try:
                await asyncio.to_thread(agent.ensure_mcp_tools)
            except Exception as error:
                _forget(servers)
                names = ", ".join(repr(getattr(server, "name", "?")) for server in servers)
                raise UpstreamFailed(f"An MCP server of agent {agent.name!r} could not be reached: {names}.") from error


def _forget(servers: Iterable[Any]) -> None:
    """Remove servers from the framework's manager, which takes a failed connection for a working one."""
    from agency_swarm.tools.mcp_manager import default_mcp_manager

    for server in servers:
        kept = default_mcp_manager.get(getattr(server, "name", "")) or server
        actual = getattr(kept, "_server", kept)
        if driver := default_mcp_manager._drivers.pop(actual, None):
            driver["driver_future"].cancel()
        for name, each in [*default_mcp_manager._servers.items()]:
            if each is kept:
                del default_mcp_manager._servers[name]
