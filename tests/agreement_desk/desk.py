"""Drives SCRIPT against the real tools, as the offline model does, without framework and without model."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from agreement_desk.agency import create_agency
from agreement_desk.offline import SCRIPT

MOST_CALLS = 6  # that any one message may take an agent


@dataclass
class Made:
    tool: str
    arguments: dict[str, Any]
    output: str


@dataclass
class Asked:
    message: str
    tools: dict[str, dict[str, Any]]
    earlier: list[str]
    calls: list[Made] = field(default_factory=list)


class Desk:
    """`log`: (agent, tool) of every call in order. `broken`: tool or colleague -> the text it answers with."""

    def __init__(self, broken: dict[str, str] | None = None) -> None:
        self.agency = create_agency()
        self.log: list[tuple[str, str]] = []
        self.broken = broken or {}
        self.earlier: dict[tuple[str, str], list[str]] = defaultdict(list)

    async def say(self, message: str, to: str = "AgreementManager", sender: str = "user") -> str:
        earlier = self.earlier[sender, to]
        turn = Asked(message, self._schemas(to), list(earlier))
        earlier.append(message)
        while isinstance(reply := SCRIPT[to](turn), list):
            assert reply, "a reply without calls would be asked for without end"
            for tool, arguments in reply:
                assert len(turn.calls) < MOST_CALLS, self.log
                turn.calls.append(Made(tool, arguments, await self._use(to, tool, arguments)))
        return reply

    def _tools(self, agent: str) -> dict[str, Any]:
        sending = self.agency._agent_runtime_state[agent].send_message_tools.values()
        return {tool.name: tool for tool in [*self.agency.agents[agent].tools, *sending]}

    def _schemas(self, agent: str) -> dict[str, dict[str, Any]]:
        return {name: tool.params_json_schema for name, tool in self._tools(agent).items()}

    async def _use(self, agent: str, name: str, arguments: dict[str, Any]) -> str:
        tool = self._tools(agent)[name]
        schema = tool.params_json_schema
        assert set(schema["required"]) <= set(arguments) <= set(schema["properties"])
        target = arguments.get("recipient_agent", name)
        self.log.append((agent, target))
        if target in self.broken:
            return self.broken[target]
        if name != "send_message":
            return str(await tool.on_invoke_tool(None, json.dumps(arguments)))
        assert target in schema["properties"]["recipient_agent"]["enum"]
        assert arguments["message"].strip(), "the framework refuses an empty message"
        return await self.say(arguments["message"], to=target, sender=agent)
