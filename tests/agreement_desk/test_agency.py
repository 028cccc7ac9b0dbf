"""Who is there, who talks to whom, with which tools."""

import asyncio
import json
import re
import sqlite3
import threading
from pathlib import Path

import pytest
from agency_swarm import Agency

from agencies import AGENCIES
from agreement_desk.agency import create_agency
from agreement_desk.offline import SCRIPT

ROOT = Path(__file__).parents[2]
TOOLS = {
    "AgreementManager": [],
    "PlanfixAgent": ["create_task", "get_task", "list_tasks", "update_task", "add_comment"],
    "CommunicationAgent": [],
}


def test_the_folder_stays_a_source_root_that_knows_nothing_of_the_handler() -> None:
    assert not (ROOT / "agents" / "__init__.py").exists()
    sources = [file.read_text() for file in (ROOT / "agents").rglob("*.py")]
    assert sources
    assert not [text for text in sources if re.search(r"^\s*(?:from|import) (?:handler|infra)\b", text, re.M)]


def recipients(agency: Agency, name: str) -> list[str]:
    tools = agency._agent_runtime_state[name].send_message_tools.values()
    return [agent.name for tool in tools for agent in tool.recipients.values()]


def test_the_agency_is_offered_under_its_name() -> None:
    assert AGENCIES["agreement-desk"] == "agreement_desk.agency:create_agency"


def test_every_agent_has_exactly_its_tools_in_a_fixed_order() -> None:
    agents = create_agency().agents
    assert {name: [tool.name for tool in agent.tools] for name, agent in agents.items()} == TOOLS


def test_every_tool_file_is_in_use() -> None:
    files = (ROOT / "agents" / "agreement_desk").glob("*/tools/[!_]*.py")
    assert {file.stem for file in files} - {"failure"} == {name for names in TOOLS.values() for name in names}


def test_the_flows_are_those_of_the_desk() -> None:
    agency = create_agency()
    assert [agent.name for agent in agency.entry_points] == ["AgreementManager"]
    assert {name: recipients(agency, name) for name in agency.agents} == {
        "AgreementManager": ["PlanfixAgent", "CommunicationAgent"],
        "CommunicationAgent": ["PlanfixAgent"],
        "PlanfixAgent": [],
    }


def test_every_agent_has_real_instructions_no_model_of_its_own_and_a_script() -> None:
    agents = create_agency().agents
    for name, agent in agents.items():
        assert f"You are {name}." in agent.instructions
        assert agent.description
    assert set(SCRIPT) == set(agents)


def test_nothing_is_shared_between_two_agencies() -> None:
    one, other = create_agency(), create_agency()
    assert one.thread_manager is not other.thread_manager
    for name in TOOLS:
        mine, theirs = one.agents[name], other.agents[name]
        assert mine is not theirs
        assert not {id(tool) for tool in mine.tools} & {id(tool) for tool in theirs.tools}
        assert not {id(tool.on_invoke_tool) for tool in mine.tools} & {id(t.on_invoke_tool) for t in theirs.tools}


def test_the_callbacks_reach_the_agency() -> None:
    def load() -> list[dict[str, object]]:
        return []

    def save(messages: list[dict[str, object]]) -> None: ...

    threads = create_agency(load_threads_callback=load, save_threads_callback=save).thread_manager
    assert (threads._load_threads_callback, threads._save_threads_callback) == (load, save)


CALLS = [
    ("create_task", {"name": "n", "description": "d", "parent_id": 1}, {"id": 2, "name": "n", "parent_id": 1}),
    ("get_task", {"task_id": 1}, {"id": 1, "name": "Größe", "description": "d", "parent_id": None}),
    (
        "list_tasks",
        {"text": "", "parent_id": None},
        {"tasks": [{"id": 1, "name": "Größe", "parent_id": None}], "more": False},
    ),
    ("update_task", {"task_id": 1, "name": None, "description": "new"}, {"id": 1, "updated": True}),
    ("add_comment", {"task_id": 1, "text": "t"}, {"id": 1, "task_id": 1}),
]


async def invoke(name: str, arguments: object) -> str:
    tool = next(t for t in create_agency().agents["PlanfixAgent"].tools if t.name == name)
    return str(await tool.on_invoke_tool(None, json.dumps(arguments)))  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize(("name", "arguments", "answer"), CALLS, ids=[call[0] for call in CALLS])
def test_a_tool_answers_with_json_and_never_blocks_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: object, answer: object
) -> None:
    asyncio.run(invoke("create_task", {"name": "Größe", "description": "d", "parent_id": None}))
    threads: list[int] = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: threads.append(threading.get_ident()) or connect(*a, **k))
    output = asyncio.run(invoke(name, arguments))
    assert json.loads(output) == answer
    assert "\\u" not in output
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


@pytest.mark.parametrize("name", ["get_task", "update_task", "add_comment"])
def test_a_tool_that_fails_says_so_in_one_sentence(name: str) -> None:
    assert asyncio.run(invoke(name, {"task_id": 77, "text": "t"})) == "Error: Task 77 does not exist"
