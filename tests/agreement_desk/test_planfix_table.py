"""The board in a DynamoDB table: under several writers, beside the store, and when AWS refuses."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agreement_desk import planfix_items
from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_table import TableBoard
from agreement_desk.task import PAGE, PlanfixError
from agency_lambda.testing.aws import Relay, refusal, relay_before


@pytest.fixture
def board(use_table: str) -> TableBoard:
    made = open_planfix()
    assert isinstance(made, TableBoard)
    return made


@pytest.fixture
def relay(board: TableBoard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """What is between the board and its table."""
    with relay_before(planfix_items.client().meta.endpoint_url) as (relay, url):
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        planfix_items.client.cache_clear()
        yield relay
        planfix_items.client().close()


def test_many_who_create_at_once_lose_nothing(board: TableBoard) -> None:
    parent = board.create_task("parent")
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda number: board.create_task(f"task {number}", "", parent), range(48)))
        comments = list(pool.map(lambda task: board.add_comment(task, "done"), made[:16]))
    assert sorted(made) == list(range(2, 50))
    assert sorted(comments) == list(range(1, 17))
    assert {task.name for task in board.list_tasks("", parent)} == {f"task {number}" for number in range(48)}


def test_many_who_update_one_task_keep_what_the_others_wrote(board: TableBoard) -> None:
    task = board.create_task("old", "old")

    def update(number: int) -> None:
        board.update_task(task, **({"name": "new"} if number % 2 else {"description": "new"}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(update, range(16)))
    assert (board.get_task(task).name, board.get_task(task).description) == ("new", "new")


@pytest.mark.parametrize("losses", [1, 2])
def test_a_task_whose_answer_was_lost_is_there_once(board: TableBoard, relay: Relay, losses: int) -> None:
    relay.faults_once("PutItem", *[Relay.LOST] * losses)
    assert board.create_task("first") == 1
    relay.faults_once("PutItem", *[Relay.LOST] * losses)
    board.update_task(1, description="new")
    assert [(task.id, task.description) for task in board.list_tasks()] == [(1, "new")]


def test_three_operations_are_all_that_its_role_needs(board: TableBoard, relay: Relay) -> None:
    task = board.create_task("first")
    board.add_comment(board.create_task("second", "", task), "text")
    board.update_task(task, "new")
    board.list_tasks()
    assert set(relay.operations()) == {"GetItem", "PutItem", "Query"}
    assert all(request["ConsistentRead"] for name, request in relay.seen if name != "PutItem")


def test_a_list_reads_all_pages_for_what_is_wanted(board: TableBoard, relay: Relay) -> None:
    for number in range(PAGE + 5):
        board.create_task(f"task {number} " + "x" * 12_000)  # a page of DynamoDB is 1 MB
    assert [task.id for task in board.list_tasks("task 104")] == [105]
    assert [task.id for task in board.list_tasks()] == list(range(1, PAGE + 1))


def test_its_items_are_apart_from_those_of_the_store(board: TableBoard, use_table: str) -> None:
    """A store's partition is `running`, or has an owner and a slash; an item with a time to live would go."""
    board.add_comment(board.create_task("first"), "text")
    items = planfix_items.client().scan(TableName=use_table)["Items"]
    assert {item["partition"]["S"] for item in items} == {"board"}
    assert {item["sort"]["S"] for item in items} == {"task/000000000001", "comment/000000000001"}
    assert not any("expires" in item for item in items)


USES: list[Callable[[TableBoard], Any]] = [
    lambda board: board.create_task("name"),
    lambda board: board.get_task(1),
    lambda board: board.list_tasks(),
    lambda board: board.update_task(1, "name"),
    lambda board: board.add_comment(1, "text"),
]


@pytest.mark.parametrize("use", USES)
def test_what_aws_refuses_is_one_sentence_without_its_words(
    board: TableBoard, relay: Relay, use: Callable[[TableBoard], Any]
) -> None:
    relay.fault = lambda operation, request: refusal("AccessDeniedException")
    with pytest.raises(PlanfixError, match=r"^The board's table cannot be used \(AccessDeniedException\)$"):
        use(board)


@pytest.mark.parametrize("use", USES)
def test_a_table_that_is_not_there_is_one_sentence(use_table: str, use: Callable[[TableBoard], Any]) -> None:
    with pytest.raises(PlanfixError, match=r"^The board's table cannot be used \(ResourceNotFoundException\)$"):
        use(TableBoard("nobody-made-this"))


def test_half_a_character_is_never_sent(board: TableBoard, relay: Relay) -> None:
    with pytest.raises(PlanfixError, match=r"^The board's table cannot hold this text: it has an invalid character$"):
        board.create_task("half a pair \ud83d")
    assert relay.seen == []


def test_a_text_that_no_item_can_hold_is_one_sentence(board: TableBoard) -> None:
    with pytest.raises(PlanfixError, match=r"^The board's table cannot be used \(ValidationException\)$"):
        board.create_task("name", "x" * 500_000)
