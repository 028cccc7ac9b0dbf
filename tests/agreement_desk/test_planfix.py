"""The contract, over all implementations, and the choice between them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agreement_desk.agency import create_agency
from agreement_desk.planfix import Planfix, open_planfix
from agreement_desk.planfix_board import Board
from agreement_desk.planfix_rest import RestApi
from agreement_desk.task import PAGE, PlanfixError, Task

TEXTS = ["", "one\ntwo\n\nthree", "Üñí 中文 Кириллица 🏗️", "<b>1 < 2 & 3 > 2</b> &amp; <br>", "'; DROP TABLE task; --"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_task_comes_back_as_it_was_created(planfix: Planfix, text: str) -> None:
    task_id = planfix.create_task(f"Name {text}".replace("\n", " "), text)
    assert planfix.get_task(task_id) == Task(task_id, f"Name {text}".replace("\n", " "), text, None)


def test_a_subtask_knows_its_parent(planfix: Planfix) -> None:
    parent = planfix.create_task("Client Weber GmbH")
    child = planfix.create_task("Installation plan", "next week", parent)
    assert child != parent
    assert planfix.get_task(child).parent_id == parent


def test_a_list_can_be_narrowed_by_name_and_by_parent(planfix: Planfix) -> None:
    weber = planfix.create_task("Клиент Weber GmbH")
    other = planfix.create_task("Client 大山")
    plan = planfix.create_task("Installation plan", "for Weber", weber)
    assert [task.id for task in planfix.list_tasks()] == [weber, other, plan]
    assert [task.id for task in planfix.list_tasks("клиент weber")] == [weber]
    assert [task.id for task in planfix.list_tasks("大山")] == [other]
    assert planfix.list_tasks("", weber) == [Task(plan, "Installation plan", "for Weber", weber)]
    assert planfix.list_tasks("Client", weber) == []
    assert planfix.list_tasks("100%_") == []


def test_a_list_ends_at_one_page(planfix: Planfix) -> None:
    for number in range(PAGE + 1):
        planfix.create_task(f"Task {number}")
    assert len(planfix.list_tasks()) == PAGE


def test_an_update_replaces_what_is_given_and_keeps_the_rest(planfix: Planfix) -> None:
    task_id = planfix.create_task("Old", "old")
    planfix.update_task(task_id, description="Dear client,\n\nyes & no")
    assert planfix.get_task(task_id) == Task(task_id, "Old", "Dear client,\n\nyes & no", None)
    planfix.update_task(task_id, name="New")
    planfix.update_task(task_id)
    assert planfix.get_task(task_id) == Task(task_id, "New", "Dear client,\n\nyes & no", None)
    planfix.update_task(task_id, description="")
    assert planfix.get_task(task_id).description == ""


def test_comments_are_added_to_their_task(planfix: Planfix, comments: Callable[[], object]) -> None:
    planfix.create_task("first")
    second = planfix.create_task("second")
    assert planfix.add_comment(second, "Called") != planfix.add_comment(second, "Called again")
    assert comments() == [(second, "Called"), (second, "Called again")]


@pytest.mark.parametrize("task_id", [999, 10**30])
@pytest.mark.parametrize(
    "use",
    [
        lambda planfix, task_id: planfix.get_task(task_id),
        lambda planfix, task_id: planfix.update_task(task_id, "name"),
        lambda planfix, task_id: planfix.add_comment(task_id, "text"),
        lambda planfix, task_id: planfix.create_task("name", "", task_id),
    ],
    ids=["get", "update", "comment", "create"],
)
def test_a_missing_task_is_a_clear_error(planfix: Planfix, use: Callable[[Planfix, int], object], task_id: int) -> None:
    planfix.create_task("another one")
    with pytest.raises(PlanfixError, match=rf"(?i)task {task_id}\b.* does not exist") as error:
        use(planfix, task_id)
    assert "\n" not in str(error.value)
    assert len(planfix.list_tasks()) == 1


def test_text_that_no_encoding_knows_is_a_clear_error(planfix: Planfix) -> None:
    with pytest.raises(PlanfixError):
        planfix.create_task("half a pair \ud83d")
    assert planfix.list_tasks() == []


def test_without_configuration_the_board_is_used(board_path: Path) -> None:
    assert isinstance(open_planfix(), Board)
    assert not board_path.exists()  # an agency is built on the event loop: no disk there
    open_planfix().create_task("first")
    assert board_path.exists()


@pytest.mark.parametrize(("on_lambda", "path"), [(False, ".data/board.db"), (True, "/tmp/board.db")])
def test_the_board_is_where_one_can_write(monkeypatch: pytest.MonkeyPatch, on_lambda: bool, path: str) -> None:
    monkeypatch.delenv("PLANFIX_BOARD")
    if on_lambda:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "agency")
    assert open_planfix()._path == Path(path)  # type: ignore[attr-defined]


def test_the_board_is_in_the_services_own_table_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANFIX_BOARD")
    monkeypatch.setenv("STORE", "dynamodb://agency")
    assert type(open_planfix()).__name__ == "TableBoard"
    monkeypatch.setenv("STORE", "sqlite:///agency.db")
    assert type(open_planfix()).__name__ == "Board"


@pytest.mark.parametrize(
    "url", ["dynamodb://", "dynamodb://ab", "dynamodb://a/b", "dynamodb://table\n", "sqlite:///board.db", "redis://x"]
)
def test_a_board_that_is_none_refuses_to_build_an_agency(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PLANFIX_BOARD", url)
    with pytest.raises(PlanfixError, match=r"^PLANFIX_BOARD must be the path of a file, or dynamodb://TABLE$"):
        create_agency()


def test_with_both_variables_the_rest_api_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANFIX_URL", "https://account.planfix.com/rest/")
    monkeypatch.setenv("PLANFIX_TOKEN", "token")
    assert isinstance(open_planfix(), RestApi)


@pytest.mark.parametrize(("given", "missing"), [("PLANFIX_URL", "PLANFIX_TOKEN"), ("PLANFIX_TOKEN", "PLANFIX_URL")])
def test_half_a_configuration_refuses_to_build_an_agency(
    monkeypatch: pytest.MonkeyPatch, given: str, missing: str
) -> None:
    monkeypatch.setenv(given, "https://secret.example")
    monkeypatch.setenv(missing, " ")
    with pytest.raises(PlanfixError, match=f"^{missing} is not set but {given} is") as error:
        create_agency()
    assert "secret" not in str(error.value)


def test_a_url_that_is_none_refuses_to_build_an_agency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANFIX_URL", "account.planfix.com")
    monkeypatch.setenv("PLANFIX_TOKEN", "token")
    with pytest.raises(PlanfixError, match="PLANFIX_URL must start with"):
        create_agency()
