"""What is inside a message of a batch: approvals, handoffs, guardrails, types, and calls that are made once."""

from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, BaseTool, GuardrailFunctionOutput, Handoff, function_tool, input_guardrail
from agency_swarm.tools.send_message import SendMessage
from agents import RunContextWrapper
from pydantic import BaseModel

from agency_lambda import once
from tests.library.features.messages import Office, batches, stored_in, to
from tests.library.features.test_approvals import paying
from tests.library.features.waiting import Stored, awaited
from tests.library.runs.stage import said

ABC = [to("Clerk", "a"), to("Clerk", "b"), to("Clerk", "c")]


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return stored_in(tmp_path)


def words(run: Any) -> str:
    return said([item for item in run.output if item["type"] == "message"][-1])


def paying_if(word: str) -> Any:
    return lambda turn: batches([("pay", {"amount": 5})])(turn) if turn.message == word else f"re {turn.message}"


@awaited
async def test_an_approval_in_one_message_lets_the_others_go_on(stored: Stored) -> None:
    office, made = Office(), []

    def create() -> Agency:
        boss = office.agent("Boss", batches(ABC, [to("Clerk", "d")]))
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk", paying_if("b"), tools=[paying(made)]))])

    run = stored(create)
    assert [asked.agent for asked in (await run.attempt()).asked] == ["Clerk"]
    assert sorted(office.texts("Clerk")) == [("a",), ("b",), ("c",)]
    await run.to_end()
    assert (words(run), made) == ("re a | paid 5 | re c | re d", [5])
    assert office.texts("Clerk")[-1] == ("a", "re a", "b", "paid 5", "c", "re c", "d")
    assert len(office.asked) == 8


@pytest.mark.parametrize("depth", [1, 2])
@awaited
async def test_a_message_that_waits_for_a_person_holds_no_slot(tmp_path: Path, depth: int) -> None:
    office, made = Office(), []

    def create() -> Agency:
        clerk = office.agent("Clerk", lambda turn: batches([("pay", {"amount": 5})])(turn), tools=[paying(made)])
        boss = office.agent("Boss", batches(ABC if depth == 1 else [to("Aide", "a"), to("Aide", "b"), to("Aide", "c")]))
        aide = office.agent("Aide", lambda turn: batches([to("Clerk", turn.message)])(turn))
        flows = [boss > clerk] if depth == 1 else [boss > aide > clerk]
        return Agency(boss, communication_flows=flows)

    run = stored_in(tmp_path, messages_at_once=1)(create)
    assert len((await run.attempt()).asked) == 3
    await run.to_end()
    assert (words(run), made) == ("paid 5 | paid 5 | paid 5", [5, 5, 5])


@awaited
async def test_agent_that_gets_its_message_back_has_the_messages_instructions(stored: Stored) -> None:
    office = Office()

    def passing(name: str) -> Any:
        return lambda turn: f"done {turn.message}" if len(turn.calls) > 1 else [_transfer(name)]

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Clerk", "a", "For a."), to("Clerk", "b", "For b.")]))
        one, two = office.agent("Clerk", passing("Expert")), office.agent("Expert", passing("Clerk"))
        return Agency(boss, communication_flows=[boss > one, (one, two, Handoff), (two, one, Handoff)])

    run = stored(create)
    await run.attempt()
    assert words(run) == "done a | done b"
    told = [(asked.texts[0], asked.instructions) for asked in office.asked if asked.agent in ("Clerk", "Expert")]
    for word in "ab":
        own = f"I am Clerk.\n\nFor {word}."
        assert [instructions for text, instructions in told if text == word] == [own, "I am Expert.", own]


def _transfer(name: str) -> tuple[str, dict[str, Any]]:
    return f"transfer_to_{name}", {"recipient_agent": name}


@awaited
async def test_guardrails_and_output_types_are_each_messages_own(stored: Stored) -> None:
    office = Office()

    class Amount(BaseModel):
        amount: int

    @input_guardrail
    async def no_b(context: RunContextWrapper[Any], agent: Any, text: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="Not b.", tripwire_triggered=text == "b")

    def create() -> Agency:
        boss = office.agent("Boss", batches([*ABC, to("Counter", "d")], [to("Clerk", "e")]))
        clerk = office.agent("Clerk", input_guardrails=[no_b])
        counter = office.agent("Counter", lambda turn: '{"amount": 7}', output_type=Amount)
        return Agency(boss, communication_flows=[boss > clerk, boss > counter])

    run = stored(create)
    await run.attempt()
    assert words(run) == "re a | Not b. | re c | amount=7 | re e"
    assert office.texts("Clerk")[-1][:2] == ("a", "re a")
    assert office.texts("Clerk")[-1][-3:] == ("c", "re c", "e")


@awaited
async def test_what_is_made_once_is_each_messages_own_and_is_not_repeated(stored: Stored) -> None:
    office, sent = Office(), []

    @function_tool
    @once
    async def send(letter: str) -> str:
        """Sends a letter."""
        sent.append(letter)
        return f"sent {letter}"

    def create() -> Agency:
        clerk = office.agent("Clerk", batches([("send", {"letter": "same"})]), tools=[send])
        boss = office.agent("Boss", batches([to("Clerk", "x"), to("Clerk", "x"), to("Clerk", "x")]))
        return Agency(boss, communication_flows=[(boss, clerk)])

    run = stored(create)
    for _ in range(2):
        await run.attempt()
        assert (words(run), sent) == ("sent same | sent same | sent same", ["same"] * 3)
    assert len(office.asked) == 8


@awaited
async def test_tools_of_threads_send_messages_side_by_side(tmp_path: Path) -> None:
    office = Office()

    class Consult(BaseTool):
        """Asks another agency, on a thread and a loop of its own."""

        text: str

        def run(self) -> str:
            boss = office.agent("Inner", lambda turn: batches([to("Clerk", turn.message)])(turn))
            inner = Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])
            return str(inner.get_response_sync(self.text).final_output)

    def create() -> Agency:
        calls = [("Consult", {"text": "a"}), ("Consult", {"text": "b"}), ("Consult", {"text": "c"})]
        return Agency(office.agent("Boss", batches(calls), tools=[Consult]))

    run = stored_in(tmp_path, messages_at_once=1)(create)
    await run.attempt()
    assert words(run) == "re a | re b | re c"


@awaited
async def test_a_message_is_sent_when_a_person_has_approved_it(stored: Stored) -> None:
    class Ask(SendMessage):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self.needs_approval = True

    office = Office()

    def create() -> Agency:
        boss, clerk = office.agent("Boss", batches([to("Clerk", "a")])), office.agent("Clerk")
        return Agency(boss, communication_flows=[(boss > clerk, Ask)])

    run = stored(create)
    (asked,) = (await run.attempt()).asked
    assert (asked.agent, asked.name, office.texts("Clerk")) == ("Boss", "send_message", [])
    await run.to_end()
    assert (words(run), office.texts("Clerk")) == ("re a", [("a",)])
