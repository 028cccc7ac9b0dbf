"""Arguments that no tool can use are told to the model, whatever kind of tool it called, and the run goes on."""

import json
from typing import Any

import pytest
from agency_swarm import Agency, Agent, Handoff, SendMessage
from agents import FunctionTool, handoff
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agency_lambda.framework.models.events import call_item, message_item
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.framework.tool_arguments import arguments_fault, message_fault
from tests.library.runs.stage import Plays, play

LIVE = pytest.mark.parametrize("stream", [True, False])
NO_OBJECT = ["null", "[1]", '"x"', "5", "true", "{", "nonsense", "[" * 100_000]
NO_TEXT = [
    {"recipient_agent": ["Helper"], "message": "m"},
    {"recipient_agent": {"name": "Helper"}, "message": "m"},
    {"recipient_agent": "Helper", "message": {"a": 1}},
    {"recipient_agent": "Helper", "message": "m", "additional_instructions": 5},
    {"recipient_agent": "Helper", "message": " \n"},
]


class Urgent(SendMessage):
    """Sends with a priority."""

    tool_name = "send_urgent"

    class ExtraParams(BaseModel):
        """What it has beside."""

        priority: str = Field(description="How urgent it is.")


def asked(script: str, arguments: str, kind: type = SendMessage) -> tuple[Any, list[str]]:
    """Return a factory of an agency whose first agent calls a tool once, and the outputs that it sees then."""
    outputs: list[str] = []

    def boss(turn: Any) -> Any:
        outputs.extend(call.output for call in turn.calls)
        return "offline model: ok"

    class Boss(OfflineModel):
        def _answer(self, *args: Any) -> Any:
            answer = super()._answer(*args)
            if not self.called:
                self.called = True
                answer.output[:] = [call_item(script, arguments)]
            return answer

    def desk() -> Agency:
        model = Boss("Boss", boss)
        model.called = False
        first = Agent(name="Boss", instructions=".", model=model)
        helper = Agent(name="Helper", instructions=".", model=Plays([message_item("h")]))
        return Agency(first, communication_flows=[(first, helper, kind)])

    return desk, outputs


@LIVE
@pytest.mark.parametrize(("tool", "kind"), [("send_message", SendMessage), ("send_urgent", Urgent)])
@pytest.mark.parametrize("arguments", [*NO_OBJECT, *map(json.dumps, NO_TEXT)], ids=lambda text: text[:70])
def test_send_message_with_unusable_arguments_tells_the_model(tool: str, kind: type, arguments: str, stream: bool):
    desk, outputs = asked(tool, arguments, kind)
    shown = play(desk, stream=stream)
    assert (shown.response["status"], shown.words) == ("completed", ["offline model: ok"])
    (output,) = outputs
    assert output.startswith(f"Error: Invalid arguments for tool {tool}: ")


def test_send_message_says_itself_what_is_missing():
    for arguments in ('{"recipient_agent": null, "message": "m"}', "{}", ""):
        desk, outputs = asked("send_message", arguments)
        assert play(desk).response["status"] == "completed"
        assert "Missing required parameter" in outputs[0] or "Invalid arguments format" in outputs[0]


@LIVE
@pytest.mark.parametrize("arguments", NO_OBJECT, ids=lambda text: text[:70])
def test_handoff_with_unusable_arguments_is_made(arguments: str, stream: bool):
    desk, _ = asked("transfer_to_Helper", arguments, Handoff)
    shown = play(desk, stream=stream)
    assert (shown.response["status"], shown.words) == ("completed", ["h"])


class Reason(BaseModel):
    """Why an agent hands over."""

    reason: str


@LIVE
@pytest.mark.parametrize("arguments", [*NO_OBJECT[:-1], "{}", '{"reason": 5}'])
def test_handoff_with_an_input_that_does_not_fit_is_not_made_and_told(arguments: str, stream: bool):
    reasons: list[str] = []

    async def note(context: Any, given: Reason) -> None:
        reasons.append(given.reason)

    class Boss(Plays):
        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(str(args[1]))
            return await super().get_response(*args, **kwargs)

        async def stream_response(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(str(args[1]))
            async for event in super().stream_response(*args, **kwargs):
                yield event

    def desk() -> Agency:
        helper = Agent(name="Helper", instructions=".", model=Plays([message_item("h")]))
        over = handoff(helper, on_handoff=note, input_type=Reason)
        boss = Boss([call_item(over.tool_name, arguments)], [call_item(over.tool_name, '{"reason": "r"}')])
        return Agency(Agent(name="Boss", instructions=".", model=boss, handoffs=[over]), helper)

    seen: list[str] = []
    shown = play(desk, stream=stream)
    assert (shown.response["status"], shown.words, reasons) == ("completed", ["h"], ["r"])
    assert "The handoff was not made" in seen[1]


def by_hand(arguments: str) -> Any:
    """Return a factory of an agency with a tool that reads its arguments without any care."""

    async def invoke(context: Any, text: str) -> str:
        return str(json.loads(text).get("key").upper())

    schema = {"type": "object", "properties": {}}
    tool = FunctionTool("careless", "Careless.", schema, invoke, strict_json_schema=False)
    asks = Plays([call_item("careless", arguments)], [message_item("offline model: ok")])
    return lambda: Agency(Agent(name="Solo", instructions=".", model=asks, tools=[tool]))


@pytest.mark.parametrize("arguments", NO_OBJECT, ids=lambda text: text[:70])
def test_tool_that_raises_on_what_is_no_object_does_not_end_the_run(arguments: str):
    assert play(by_hand(arguments)).response["status"] == "completed"


def test_tool_that_raises_on_a_fine_object_fails_the_run():
    assert play(by_hand('{"key": 5}')).response["status"] == "failed"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_only_an_object_has_no_fault(value: Any):
    assert (arguments_fault(json.dumps(value)) is None) == isinstance(value, dict)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["recipient_agent", "message"], st.none() | st.text("abc") | st.integers() | st.lists(st.text())
        ),
    )
)
def test_message_fault_names_what_is_no_string(value: dict[str, Any]):
    wrong = [name for name in ("recipient_agent", "message") if not isinstance(value.get(name), str | None)]
    assert message_fault(json.dumps(value)) == (f"{wrong[0]!r} must be a string" if wrong else None)
