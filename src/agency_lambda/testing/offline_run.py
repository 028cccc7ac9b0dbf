"""Run an agency without its tools' effects."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

TOOL_OUTPUT = "ok"


@dataclass
class Calls:
    """The agents whose model was called, their instructions, and (agent, tool)."""

    models: list[str] = field(default_factory=list)
    instructions: set[str] = field(default_factory=set)
    tools: list[tuple[str, str]] = field(default_factory=list)


def record(monkeypatch: pytest.MonkeyPatch, before_model: Callable[[int], None] = lambda count: None) -> Calls:
    """Replace tools by fixed texts, and record the offline model's calls.

    before_model: called before each with the number of earlier ones.
    """
    from agency_swarm.tools.send_message import SendMessage

    from agency_lambda.framework import tools
    from agency_lambda.framework.offline_model import OfflineModel

    calls, output, answer = Calls(), tools._output, OfflineModel._answer

    async def _output(tool: Any, run: Any, context: Any, *call: Any) -> Any:
        if isinstance(tool, SendMessage):
            return await output(tool, run, context, *call)
        calls.tools.append((context.agent.name, tool.name))
        return TOOL_OUTPUT

    def _answer(model: OfflineModel, instructions: str | None, *arguments: Any) -> Any:
        before_model(len(calls.models))
        calls.models.append(model.agent)
        calls.instructions.add(instructions or "")
        return answer(model, instructions, *arguments)

    monkeypatch.setattr(tools, "_output", _output)
    monkeypatch.setattr(OfflineModel, "_answer", _answer)
    return calls
