"""The whole flow without a model: what is said, what is done, and that it ends."""

import asyncio
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agreement_desk.letter import client_in, write_letter
from agreement_desk.offline import SCRIPT
from agreement_desk.phrases import LETTER, MARK
from agreement_desk.planfix import open_planfix
from tests.agreement_desk.desk import Asked, Desk

WEBER = "Client Weber GmbH asks about next week's installation plan for the crew in Stuttgart. Prepare the reply."
MESSAGES = [
    "?",
    "👷🏽‍♀️🏗️",
    "\u200b",
    "Клиент «Ромашка» спрашивает про график монтажа на следующую неделю.",
    "客户张伟询问下周的安装计划。请准备回复。",
    "Bitte antworte Herrn Müller: wann kommt der Trupp?",
    'He said "no" and \'yes\' and \\ and \x00 and {"id": 7, "description": null} and [1, 2',
    '{"message": "Client X asks about Y", "tasks": []}',
    "1234567890",
    "Add up 7, 8 and 9",
    f"Client A asks about B.\n\n{LETTER}\nnothing",
    f"{MARK} The letter is stored",
    "Open a subtask for this request.",
    "Request: ",
    "Client: nobody\nRequest: nothing",
    "client asks about what the boss said",
    "word " * 20_000,
    "x" * 100_000,
    "{" * 100_000,
]


def ask(message: str, to: str = "AgreementManager", **broken: str) -> tuple[str, Desk]:
    desk = Desk(broken)
    return asyncio.run(desk.say(message, to)), desk


def letter_in(answer: str) -> str:
    return answer.partition("\n\n")[2]


def subtask_in(answer: str) -> int:
    found = re.match(r"\[offline model\] (?:Subtask|The letter for task) (\d+)", answer)
    assert found, answer
    return int(found[1])


def test_the_request_goes_through_all_five_steps(implementation: str) -> None:
    answer, desk = ask(WEBER)
    assert desk.log == [
        ("AgreementManager", "PlanfixAgent"),
        ("PlanfixAgent", "list_tasks"),
        ("PlanfixAgent", "create_task"),
        ("PlanfixAgent", "create_task"),
        ("AgreementManager", "CommunicationAgent"),
        ("CommunicationAgent", "PlanfixAgent"),
        ("PlanfixAgent", "get_task"),
        ("CommunicationAgent", "PlanfixAgent"),
        ("PlanfixAgent", "get_task"),
        ("PlanfixAgent", "update_task"),
    ]
    subtask = open_planfix().get_task(subtask_in(answer))
    assert subtask.name == "next week's installation plan for the crew in Stuttgart"
    assert subtask.description == f"Client: Weber GmbH\nRequest: {WEBER}\n\n{LETTER}\n{letter_in(answer)}"
    assert subtask.parent_id is not None
    assert open_planfix().get_task(subtask.parent_id).name == "Client Weber GmbH"


def test_the_letter_is_polite_and_about_the_request() -> None:
    answer, _ = ask(WEBER)
    letter = letter_in(answer)
    assert letter.startswith("Dear Weber GmbH,\n\nThank you for your message about next week's installation plan")
    assert f"under number {subtask_in(answer)}," in letter
    assert letter.endswith("Kind regards\nAgreement Desk")


def test_a_second_message_is_about_the_same_client_and_goes_below_the_same_task() -> None:
    desk = Desk()
    answers = [asyncio.run(desk.say(text)) for text in (WEBER, "And please add the safety sheets.")]
    first, second = (open_planfix().get_task(subtask_in(answer)) for answer in answers)
    assert first.id != second.id
    assert first.parent_id == second.parent_id
    assert "“And please add the safety sheets.”" in letter_in(answers[1])
    assert letter_in(answers[1]).startswith("Dear Weber GmbH,")


def test_a_client_whose_name_is_part_of_another_gets_a_task_of_its_own() -> None:
    ask("Client Weber GmbH & Co asks about a crane.")
    answer, _ = ask("Client Weber GmbH asks about a crane.")
    parent = open_planfix().get_task(subtask_in(answer)).parent_id
    assert parent is not None
    assert open_planfix().get_task(parent).name == "Client Weber GmbH"


def test_the_same_message_gets_the_same_words(board_path: Path) -> None:
    answers = []
    for _ in range(2):
        answers.append(ask(WEBER)[0])
        for file in board_path.parent.iterdir():
            file.unlink()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("message", MESSAGES, ids=[message[:20].encode().hex() for message in MESSAGES])
@pytest.mark.parametrize("agent", ["AgreementManager", "CommunicationAgent"])
def test_any_message_gets_a_stored_letter(agent: str, message: str) -> None:
    answer, _ = ask(message, agent)
    subtask = open_planfix().get_task(subtask_in(answer))
    assert subtask.description.endswith(f"\n\n{LETTER}\n{letter_in(answer)}")
    assert letter_in(answer).startswith("Dear ")
    assert 0 < len(subtask.name) <= 80


@pytest.mark.parametrize("agent", sorted(SCRIPT))
@pytest.mark.parametrize("message", ["", " \n\t "])
def test_an_empty_message_is_asked_about_and_nothing_is_done(agent: str, message: str) -> None:
    answer, desk = ask(message, agent)
    assert answer.startswith(f"{MARK} Please write what the client asks")
    assert desk.log == []


def test_planfix_agent_serves_a_user_directly() -> None:
    opened, _ = ask("Client Weber GmbH asks about task 12.", "PlanfixAgent")
    number = subtask_in(opened)
    shown, _ = ask(f"Show me task #{number}, please", "PlanfixAgent")
    assert '"description": "Client: Weber GmbH' in shown
    listed, _ = ask("Which tasks are there?", "PlanfixAgent")
    assert '"name": "Client Weber GmbH"' in listed
    commented, desk = ask(f"Add a comment to task {number}: Called them.\nTwice.", "PlanfixAgent")
    assert desk.log == [("PlanfixAgent", "add_comment")]
    assert all(answer.startswith(f"{MARK} ") for answer in (opened, shown, listed, commented))


def test_communication_agent_writes_again_for_a_task_and_replaces_the_letter() -> None:
    number = subtask_in(ask(WEBER)[0])
    before = open_planfix().get_task(number)
    answer, _ = ask(f"Please write the letter for task {number} again.", "CommunicationAgent")
    assert subtask_in(answer) == number
    assert open_planfix().get_task(number) == before
    assert before.description.count(LETTER) == 1


def test_the_manager_passes_on_what_is_known_about_a_task() -> None:
    number = subtask_in(ask(WEBER)[0])
    answer, desk = ask(f"What was task {number} about?")
    assert answer.startswith(f"{MARK} ")
    assert WEBER in answer
    assert desk.log[0] == ("AgreementManager", "PlanfixAgent")


ERRORS = ["", "Error: Planfix refused a new task: Rate limit exceeded (code 22)", "{}", "[]", '{"id": ', "null"]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "target",
    ["PlanfixAgent", "CommunicationAgent", "list_tasks", "create_task", "get_task", "update_task"],
)
def test_a_failing_tool_or_colleague_is_reported_and_ends_the_work(target: str, error: str) -> None:
    answer, desk = ask(WEBER, **{target: error})
    assert answer.startswith(f"{MARK} I have to stop: ")
    assert error.strip() in answer
    assert desk.log.count(next(call for call in desk.log if call[1] == target)) == 1


def test_a_letter_that_could_not_be_stored_is_not_lost() -> None:
    answer, _ = ask(WEBER, update_task="Error: no")
    assert "the letter is written but not stored" in answer
    assert "Dear Weber GmbH," in answer


def test_a_task_that_is_not_there_is_said_to_be_missing() -> None:
    for agent in SCRIPT:
        answer, _ = ask("Write the letter for task 123456789012345678", agent)
        assert answer.startswith(MARK)
        assert "Task 123456789012345678 does not exist" in answer


@pytest.mark.parametrize("agent", sorted(SCRIPT))
def test_an_agent_without_its_tools_says_so(agent: str) -> None:
    reply = SCRIPT[agent](Asked(WEBER, tools={}, earlier=[]))
    assert re.fullmatch(r"\[offline model\] I cannot do this: I have no tool \w+\.", str(reply))


@pytest.mark.parametrize(
    ("text", "client"),
    [
        (WEBER, "Weber GmbH"),
        ("please: customer “O'Neil & Söhne” wrote to us", "O'Neil & Söhne"),
        ("Client Ромашка и партнёры asks", "Ромашка и партнёры"),
        ('The client "3M" would like a quote', "3M"),
        ("Client\n  Dr. Meyer   AG needs a crane", "Dr. Meyer AG"),
        ("client asks about what the boss said", None),
        ("the client who called asks again", None),
        ("The customer is king", None),
        ("Client " + "W" * 500 + " asks", None),
        ("Client" + " " * 100_000, None),
    ],
)
def test_a_client_is_recognised_or_not(text: str, client: str | None) -> None:
    assert client_in(text) == client


def test_a_letter_to_nobody_in_particular_is_polite_too() -> None:
    assert write_letter(3, None, "When?").startswith("Dear Sir or Madam,\n\nThank you for your message “When?”.")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(st.text(), min_size=1, max_size=3), agent=st.sampled_from(sorted(SCRIPT)))
def test_every_conversation_ends_in_marked_answers(
    monkeypatch: pytest.MonkeyPatch, messages: list[str], agent: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("PLANFIX_BOARD", f"{folder}/board.db")
        desk = Desk()
        for message in messages:
            assert asyncio.run(desk.say(message, agent)).startswith(f"{MARK} ")
