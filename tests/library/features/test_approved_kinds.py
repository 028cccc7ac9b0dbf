"""Rows of docs/agency-swarm.md: every kind of tool that may ask a person, and wherever its agent stands."""

from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, Handoff, function_tool
from agents import Agent as SDKAgent
from agents import ApplyPatchTool, CustomTool, Runner, ShellTool
from agents.editor import ApplyPatchResult
from openai.types.responses import (
    ResponseApplyPatchToolCall,
    ResponseCustomToolCall,
    ResponseFunctionShellToolCall,
    ResponseFunctionToolCall,
)

from agency_lambda.framework.models.events import message_item
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.approvals import Decision
from tests.library.features.rows import holds
from tests.library.features.test_approvals import PAY, asking, names, paying, scripted, stored, then, words
from tests.library.features.waiting import Stored, awaited
from tests.library.runs.stage import Plays

__all__ = ["stored"]

Made = list[Any]


class Editor:
    def __init__(self, made: Made) -> None:
        self.create_file = self.update_file = self.delete_file = self._note
        self._made = made

    def _note(self, operation: Any) -> ApplyPatchResult:
        self._made.append(operation.path)
        return ApplyPatchResult(status="completed", output="patched")


def shell(made: Made) -> Agency:
    async def run(request: Any) -> str:
        made.append(request.data.action.commands)
        return "listed"

    call = ResponseFunctionShellToolCall.model_validate(
        {
            **{"id": "sh1", "type": "shell_call", "call_id": "c1", "status": "completed", "environment": None},
            "action": {"commands": ["ls"], "max_output_length": None, "timeout_ms": None},
        }
    )
    return solo(call, tools=[ShellTool(run, needs_approval=True)])


def custom(made: Made) -> Agency:
    async def run(context: Any, text: str) -> str:
        made.append(text)
        return "done"

    call = ResponseCustomToolCall(call_id="c1", input="SELECT 1", name="sql", type="custom_tool_call")
    return solo(call, tools=[CustomTool("sql", "SQL.", run, needs_approval=True)])


def patch(made: Made) -> Agency:
    call = ResponseApplyPatchToolCall.model_validate(
        {
            **{"id": "ap1", "type": "apply_patch_call", "call_id": "c1", "status": "completed"},
            "operation": {"type": "delete_file", "path": "old.txt"},
        }
    )
    return solo(call, tools=[ApplyPatchTool(Editor(made), needs_approval=lambda *_: True)])  # type: ignore[arg-type]


class Calls(Plays):
    """Makes calls, and answers when its input has what became of them."""

    def __init__(self, *calls: Any) -> None:
        super().__init__([*calls], [message_item("done")])
        self.sent: list[Any] = []

    async def get_response(self, *args: Any, **named: Any) -> Any:
        self.sent.append(args[1] if len(args) > 1 else named["input"])
        if self.sent[-1][-1].get("role") != "user":
            self._answers = self._answers[-1:]
        return await super().get_response(*args, **named)


def solo(*calls: Any, **settings: Any) -> Agency:
    return Agency(Agent(name="Solo", instructions=".", model=Calls(*calls), **settings))


def as_tool(made: Made) -> Agency:
    def answers(turn: Any) -> str:
        made.append(turn.message)
        return "offline model: inner"

    agent = SDKAgent(name="Inner", model=OfflineModel("Inner", answers))
    tool = agent.as_tool("inner", "Asks.", needs_approval=True)
    return Agency(scripted("Solo", then(("inner", {"input": "?"})), tools=[tool]))


def in_an_agent_as_tool(made: Made) -> Agency:
    inner = scripted("Inner", then(*PAY), tools=[paying(made)]).as_tool("inner", "Asks.")
    return Agency(scripted("Solo", then(("inner", {"input": "?"})), tools=[inner]))


def behind_a_handoff(made: Made) -> Agency:
    def script(turn: Any) -> Any:
        paid = [call.output for call in turn.calls if call.tool == "pay"]
        return f"offline model: {paid[0]}" if paid else PAY

    target = scripted("Next", script, tools=[paying(made)])
    transfer = ResponseFunctionToolCall(
        arguments='{"recipient_agent": "Next"}', call_id="c1", name="transfer_to_Next", type="function_call"
    )
    boss = Agent(name="Boss", instructions=".", model=Calls(transfer))
    return Agency(boss, communication_flows=[(boss, target, Handoff)])


def colleague(made: Made) -> Agency:
    boss, clerk = scripted("Boss", then(asking("Clerk"))), scripted("Clerk", then(*PAY), tools=[paying(made)])
    return Agency(boss, communication_flows=[boss > clerk])


def nested(made: Made) -> Agency:
    @function_tool
    async def ask_agency() -> str:
        """Asks another agency."""
        inner = Agency(scripted("Inner", then(*PAY), tools=[paying(made)]))
        return str((await inner.get_response("Pay.")).final_output)

    return Agency(scripted("Solo", then(("ask_agency", {})), tools=[ask_agency]))


def nested_in_a_thread(made: Made) -> Agency:
    @function_tool
    def ask_agency() -> str:
        """Asks another agency."""
        inner = Agency(scripted("Inner", then(*PAY), tools=[paying(made)]))
        return str(inner.get_response_sync("Pay.").final_output)

    return Agency(scripted("Solo", then(("ask_agency", {})), tools=[ask_agency]))


def nested_and_blocking(made: Made) -> Agency:
    @function_tool
    async def ask_agency() -> str:
        """Asks another agency, and blocks the loop meanwhile."""
        inner = Agency(scripted("Inner", then(*PAY), tools=[paying(made)]))
        return str(inner.get_response_sync("Pay.").final_output)

    return Agency(scripted("Solo", then(("ask_agency", {})), tools=[ask_agency]))


def by_a_stream(made: Made) -> Agency:
    @function_tool
    async def ask_agency() -> str:
        """Asks an agent of the SDK."""
        agent = SDKAgent(name="Inner", model=OfflineModel("Inner", then(*PAY)), tools=[paying(made)])
        result = Runner.run_streamed(agent, "Pay.")
        async for _ in result.stream_events():
            pass
        return str(result.final_output)

    return Agency(scripted("Solo", then(("ask_agency", {})), tools=[ask_agency]))


KINDS: dict[str, tuple[Callable[[Made], Agency], tuple[str, str]]] = {
    "shell": (shell, ("Solo", "shell")),
    "custom": (custom, ("Solo", "sql")),
    "apply_patch": (patch, ("Solo", "apply_patch")),
    "as_tool": (as_tool, ("Solo", "inner")),
    "in_an_agent_as_tool": (in_an_agent_as_tool, ("Inner", "pay")),
    "behind_a_handoff": (behind_a_handoff, ("Next", "pay")),
    "colleague": (colleague, ("Clerk", "pay")),
    "nested": (nested, ("Inner", "pay")),
    "nested_in_a_thread": (nested_in_a_thread, ("Inner", "pay")),
    "nested_and_blocking": (nested_and_blocking, ("Inner", "pay")),
    "by_a_stream": (by_a_stream, ("Inner", "pay")),
}


@pytest.mark.parametrize("kind", ["shell", "custom", "apply_patch"])
@awaited
async def test_a_call_that_was_asked_about_waits_although_its_tool_would_not_ask_by_now(
    kind: str, stored: Stored
) -> None:
    made: Made = []
    needs_approval = True

    def create() -> Agency:
        agency = KINDS[kind][0](made)
        agency.agents["Solo"].tools[0].needs_approval = needs_approval  # type: ignore[union-attr]
        return agency

    run = stored(create)
    (asked,) = (await run.attempt()).asked
    needs_approval = False
    assert ((await run.attempt()).asked, made) == ((asked,), [])
    await run.decide(asked, Decision(approve=False))
    assert ((await run.attempt()).asked, made) == ((), [])


@holds("needs_approval")
@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@awaited
async def test_a_call_waits_wherever_it_is_made(kind: str, approve: bool, stored: Stored) -> None:
    made: Made = []
    create, asker = KINDS[kind]
    run = stored(lambda: create(made))
    asked = (await run.attempt()).asked
    assert (names(asked), made) == ([asker], [])
    result = await run.to_end(lambda asked: Decision(approve=approve, reason=None if approve else "Too dear."))
    assert len(made) == approve
    assert result.incomplete is None
    assert words(run)
    if not approve:
        assert "Too dear." in str(result.history) or "Too dear." in str(run.output)
    again = await run.attempt()
    assert (again.asked, len(made)) == ((), approve)
