"""Agents with a script: it sees the turn, and its words and calls are taken as they are."""

import pytest

from agency_lambda.framework.models.offline import agency_script as offline_script
from agency_lambda.offline import Turn, decide
from tests.library.models.agencies import ask, ask_streamed, office, offline, single, unlimited


def manager(turn):
    told = [call.output for call in turn.calls]
    if not told:
        return [("send_message", {"recipient_agent": "Planner", "message": "create", "additional_instructions": ""})]
    if len(told) == 1:
        return [("send_message", {"recipient_agent": "Writer", "message": "write", "additional_instructions": ""})]
    return f"Done: {told[0]}; {told[1]}"


def planner(turn):
    if turn.message == "create" and not turn.calls:
        return [("CreateTask", {"title": "paper", "priority": 2})]
    return turn.calls[0].output if turn.calls else "details of 17 [offline model]"


def writer(turn):
    if not turn.calls:
        return [("send_message", {"recipient_agent": "Planner", "message": "tell", "additional_instructions": ""})]
    return f"Dear all, {turn.calls[0].output}"


SCRIPT = {"Manager": manager, "Planner": planner, "Writer": writer}
ANSWER = "Done: [offline model] task 17: paper (priority 2); Dear all, details of 17 [offline model]"


@pytest.mark.parametrize("run", [ask, ask_streamed])
def test_the_five_steps_of_the_original_problem(run):
    text, meter = run(offline(), office(), script=SCRIPT)
    assert text == ANSWER
    assert meter.model_calls == 3 + 2 + 2 + 1


def test_several_calls_at_once():
    def both(turn):
        if turn.calls:
            return " / ".join(call.output for call in turn.calls)
        return [("read_task", {"number": 4}), ("read_task", {"number": 5})]

    text, meter = ask(offline(), office(), script={"Manager": lambda turn: "offline model", "Planner": both})
    assert (text, meter.model_calls) == ("offline model", 1)
    agency = single(tools=office().agents["Planner"].tools)
    assert ask(offline(), agency, script={"Solo": both})[0] == "[offline model] task 4: details / task 5: details"


def test_a_script_sees_earlier_messages_and_only_the_calls_since_the_latest():
    turns = []

    def script(turn):
        turns.append(turn)
        return "fine" if turn.calls else [("read_task", {"number": len(turn.earlier)})]

    agency = single(tools=office().agents["Planner"].tools)
    models = offline()
    ask(models, agency, "one", {"Solo": script})
    ask(models, agency, "two", {"Solo": script})
    last = turns[-1]
    assert (last.message, last.earlier) == ("two", ["one"])
    assert [(c.tool, c.arguments, c.output) for c in last.calls] == [("read_task", {"number": 1}, "task 1: details")]
    assert last.tools["read_task"]["properties"]["number"]["type"] == "integer"


@pytest.mark.parametrize(
    ("said", "heard"),
    [("hello", "[offline model] hello"), ("Hello from the Offline Model", "Hello from the Offline Model")],
)
def test_only_a_text_that_does_not_say_so_gets_the_mark(said, heard):
    assert decide("Solo", Turn("hi"), lambda turn: said) == heard


def test_a_scripts_json_is_left_alone_where_json_is_asked_for():
    assert decide("Solo", Turn("hi"), lambda turn: "{}", output_schema={"type": "object"}) == "{}"


def test_a_script_may_not_call_where_tools_are_forbidden():
    plan = decide("Solo", Turn("hi", tools={}), lambda turn: [("read_task", {})])
    assert plan == "[offline model] Solo was asked: hi"


@pytest.mark.parametrize("nothing", [None, [], 7])
def test_a_script_that_says_nothing_is_a_mistake(nothing):
    with pytest.raises(TypeError, match="script of Solo must return"):
        decide("Solo", Turn("hi"), lambda turn: nothing)


def test_a_script_that_never_answers_is_stopped():
    endless = {"Solo": lambda turn: [("read_task", {"number": 1})]}
    agency = single(tools=office().agents["Planner"].tools)
    with pytest.raises(Exception, match="Runner execution failed") as failure:
        ask(offline(), agency, script=endless, run=unlimited())
    assert "wants more than 50 tool calls" in str(failure.value.__cause__)


def agency_package(folder, monkeypatch, name, offline_source):
    package = folder / name
    package.mkdir()
    (package / "agency.py").write_text("def create_agency(): ...\n")
    if offline_source is not None:
        (package / "offline.py").write_text(offline_source)
    monkeypatch.syspath_prepend(str(folder))
    return __import__(f"{name}.agency", fromlist=["create_agency"]).create_agency


def test_a_script_is_found_beside_its_agency(tmp_path, monkeypatch):
    create_agency = agency_package(tmp_path, monkeypatch, "desk_a", "SCRIPT = {'A': print}\n")
    assert offline_script(create_agency) == {"A": print}


def test_no_script_is_no_mistake(tmp_path, monkeypatch):
    assert offline_script(agency_package(tmp_path, monkeypatch, "desk_b", None)) == {}


@pytest.mark.parametrize(
    ("name", "source", "error"),
    [("desk_c", "import not_there\n", ModuleNotFoundError), ("desk_d", "", AttributeError)],
)
def test_a_broken_script_is_a_mistake(tmp_path, monkeypatch, name, source, error):
    create_agency = agency_package(tmp_path, monkeypatch, name, source)
    with pytest.raises(error):
        offline_script(create_agency)
