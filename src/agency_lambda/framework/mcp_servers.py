"""Connects MCP servers when a run needs them, on a worker thread."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agency_lambda.errors import UpstreamFailed
from agency_lambda.framework.building import is_building

if TYPE_CHECKING:
    from agency_swarm import Agent


def install() -> None:
    from agency_swarm.agent import core

    convert = core.convert_mcp_servers_to_tools

    def convert_unless_building(agent: "Agent", **options: Any) -> list[Any]:
        return [] if is_building() else convert(agent, **options)

    core.convert_mcp_servers_to_tools = convert_unless_building


async def connect(agents: Iterable[Any]) -> None:
    """Connect the agents' MCP servers and load their tools.

    Raises:
        UpstreamFailed: a server could not be reached. The text names it.
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
    # The framework's manager takes a failed connection for a working one, and would never retry.
    from agency_swarm.tools.mcp_manager import default_mcp_manager

    for server in servers:
        registered = default_mcp_manager.get(getattr(server, "name", "")) or server
        actual = getattr(registered, "_server", registered)
        if driver := default_mcp_manager._drivers.pop(actual, None):
            driver["driver_future"].cancel()
        for name, each in [*default_mcp_manager._servers.items()]:
            if each is registered:
                del default_mcp_manager._servers[name]
