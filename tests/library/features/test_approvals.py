"""A tool that needs approval parks its call: what a person decides, the SDK tells the model in its own words."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import Agent as SDKAgent
from agents import AgentHooks, Model, Runner
from agents.tool_context import ToolContext

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.approvals import Decision
from agency_lambda.store import open_store
from tests.library.features.waiting import APPROVED, REFUSED, Stored, StoredRun, awaited

PAY = [("pay", {"amount": 5})]


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return partial(StoredRun, store=open_store(f"sqlite:///{tmp_path}/agency.db"))


def scripted(name: str, script: Any, **settings: Any) -> Agent:
    return Agent(name=name, instructions=".", model=OfflineModel(name, script), **settings)


def then(*calls: tuple[str, dict[str, Any]], last: str | None = None) -> Any:
    """A script: these calls one after the other, and then the last output as answer."""

    def script(turn: Any) -> Any:
        if len(turn.calls) < len(calls):
            return [calls[len(turn.calls)]]
        return f"offline model: {last or turn.calls[-1].output}"

    return script


def at_once(*calls: tuple[str, dict[str, Any]]) -> Any:
    """A script: all calls in one answer, and then all outputs."""
    return lambda turn: f"offline model: {[call.output for call in turn.calls]}" if turn.calls else [*calls]


def asking(colleague: str) -> tuple[str, dict[str, Any]]:
    return "send_message", {"recipient_agent": colleague, "message": "Pay.", "additional_instructions": ""}


def paying(made: list[Any], **settings: Any) -> Any:
    async def pay(amount: int) -> str:
        """Pays."""
        made.append(amount)
        return f"paid {amount}"

    return function_tool(pay, **{"needs_approval": True, **settings})


def words(run: StoredRun) -> list[str]:
    messages = [item for item in run.output if item["type"] == "message"]
    return [part["text"].replace("offline model: ", "") for item in messages for part in item["content"]]


def names(asked: Any) -> list[tuple[str, str]]:
    return [(each.agent, each.name) for each in asked]


@awaited
async def test_a_call_waits_and_is_made_once_when_it_is_approved(stored: Stored) -> None:
    made: list[int] = []
    run = stored(lambda: Agency(scripted("Solo", then(*PAY), tools=[paying(made)])))
    (asked,) = (await run.attempt()).asked
    assert (asked.agent, asked.name, asked.kind, made) == ("Solo", "pay", "tool", [])
    assert json.loads(asked.arguments) == {"amount": 5}
    assert asked.schema is not None
    assert asked.schema["properties"]["amount"]["type"] == "integer"
    assert (await run.attempt()).asked == (asked,)
    await run.decide(asked)
    assert (await run.attempt()).asked == ()
    assert (words(run), made) == (["paid 5"], [5])
    assert (run.meter.paid()["model_calls"], run.meter.model_calls) == (1, 2)


class Recording(Model):
    """Notes what it is sent."""

    def __init__(self, script: Any) -> None:
        self.model, self.sent = "recording", list[Any]()
        self._offline = OfflineModel("Solo", script)

    async def get_response(self, *args: Any, **named: Any) -> Any:
        items = args[1] if len(args) > 1 else named["input"]
        self.sent.append(json.loads(json.dumps(items)))
        return await self._offline.get_response(*args, **named)

    def stream_response(self, *args: Any, **named: Any) -> Any:
        raise NotImplementedError


def sent_output(sent: list[Any]) -> str:
    """The tool's output, byte for byte as the model is sent it."""
    outputs = [item for item in sent[-1] if item.get("type") == "function_call_output"]
    return json.dumps([{**item, "call_id": "call"} for item in outputs], sort_keys=True)


async def by_the_bare_sdk(decision: Decision) -> list[Any]:
    model = Recording(then(*PAY))
    agent = SDKAgent(name="Solo", model=model, tools=[paying([])])
    result = await Runner.run(agent, "Order paper")
    state = result.to_state()
    (asked,) = result.interruptions
    if decision.approve:
        state.approve(asked)
    else:
        state.reject(asked, rejection_message=decision.reason)
    await Runner.run(agent, state)
    return model.sent


@pytest.mark.parametrize(
    "decision", [APPROVED, REFUSED, Decision(approve=False, reason="Too dear.")], ids=["approved", "refused", "reason"]
)
@awaited
async def test_the_model_is_sent_what_a_bare_agencys_is(stored: Stored, decision: Decision) -> None:
    model = Recording(then(*PAY))
    run = stored(lambda: Agency(Agent(name="Solo", instructions=".", model=model, tools=[paying([])])))
    await run.to_end(lambda asked: decision)
    bare = await by_the_bare_sdk(decision)
    assert len(model.sent) == len(bare) == 2
    assert sent_output(model.sent) == sent_output(bare)
    expected = "paid 5" if decision.approve else decision.reason or "Tool execution was not approved."
    assert expected in sent_output(bare)


@awaited
async def test_a_refused_call_is_never_made_even_if_a_function_of_the_arguments_changes_its_mind(
    stored: Stored,
) -> None:
    made: list[int] = []
    answers = [True, False, False]

    async def needs(context: Any, arguments: dict[str, Any], call_id: str) -> bool:
        assert arguments == {"amount": 5}
        return answers.pop(0)

    run = stored(lambda: Agency(scripted("Solo", then(*PAY), tools=[paying(made, needs_approval=needs)])))
    await run.to_end(lambda asked: Decision(approve=False, reason="No."))
    assert (words(run), made) == (["No."], [])


@pytest.mark.parametrize("needs", [lambda *_: False, False], ids=["function", "never"])
@awaited
async def test_a_call_that_needs_no_approval_is_made(stored: Stored, needs: Any) -> None:
    made: list[int] = []
    run = stored(lambda: Agency(scripted("Solo", then(*PAY), tools=[paying(made, needs_approval=needs)])))
    assert (await run.attempt()).asked == ()
    assert made == [5]


@awaited
async def test_a_person_may_change_the_arguments_and_the_model_is_told(stored: Stored) -> None:
    made: list[int] = []
    seen: list[str] = []

    async def pay(context: ToolContext[Any], amount: int) -> str:
        """Pays."""
        made.append(amount)
        seen.append(context.tool_arguments)
        return f"paid {amount}"

    class Hooks(AgentHooks[Any]):
        async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
            seen.append(context.tool_arguments)

    model = Recording(then(*PAY))
    settings: Any = {"tools": [function_tool(pay, needs_approval=True)], "hooks": Hooks()}
    run = stored(lambda: Agency(Agent(name="Solo", instructions=".", model=model, **settings)))
    result = await run.to_end(lambda asked: Decision(approve=True, arguments='{"amount": 3}'))
    line = 'A person approved this call with other arguments, which were used: {"amount": 3}'
    assert (made, seen) == ([3], ['{"amount": 3}'] * 2)
    assert words(run) == [f"{line}\npaid 3"]
    (call,) = (item for item in model.sent[-1] if item.get("type") == "function_call")
    assert json.loads(call["arguments"]) == {"amount": 5}
    assert f"{line}\npaid 3" in [item.get("output") for item in result.history]
    await run.attempt()
    assert made == [3]


def three_deep(made: list[Any], **settings: Any) -> Agency:
    boss = scripted("Boss", then(asking("Clerk")))
    clerk, cashier = scripted("Clerk", then(asking("Cashier"))), scripted("Cashier", then(*PAY), tools=[paying(made)])
    return Agency(boss, communication_flows=[boss > clerk, clerk > cashier])


@awaited
async def test_a_colleagues_colleague_may_ask(stored: Stored) -> None:
    made: list[int] = []
    run = stored(lambda: three_deep(made))
    assert names((await run.attempt()).asked) == [("Cashier", "pay")]
    paid = run.meter.model_calls
    await run.to_end()
    assert (words(run), made) == (["paid 5"], [5])
    assert run.meter.model_calls - run.meter.replayed["model_calls"] == 3
    assert paid == 3


@awaited
async def test_what_is_open_goes_on_in_the_next_attempt(stored: Stored) -> None:
    run = stored(lambda: three_deep([]))
    (asked,) = (await run.attempt()).asked
    assert [item["status"] for item in run.output if "tool" in item] == ["in_progress"] * 2
    await run.decide(asked)
    await run.attempt()
    tools = [item for item in run.output if "tool" in item]
    assert [(item["tool"], item["status"]) for item in tools] == [
        ("send_message", "completed"),
        ("send_message", "completed"),
        ("pay", "completed"),
    ]
