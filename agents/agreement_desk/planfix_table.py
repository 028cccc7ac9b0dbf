"""The embedded board in a DynamoDB table, for any number of Lambdas: PLANFIX_BOARD=dynamodb://TABLE."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from agreement_desk.planfix_items import Item, Items, id_of
from agreement_desk.task import PAGE, PlanfixError, Task, missing


class TableBoard:
    def __init__(self, table: str) -> None:
        self._items = Items(table)

    def create_task(self, name: str, description: str = "", parent_id: int | None = None) -> int:
        with _failures():
            parent = {} if parent_id is None else {"parent_id": {"N": str(id_of(self._find(parent_id)))}}
            return self._items.add("task", {"name": _text(name), "description": _text(description), **parent})

    def get_task(self, task_id: int) -> Task:
        with _failures():
            return _task(self._find(task_id))

    def list_tasks(self, text: str = "", parent_id: int | None = None) -> list[Task]:
        with _failures():
            tasks = map(_task, self._items.all("task"))
            found = (task for task in tasks if text.casefold() in task.name.casefold())
            return list(islice((task for task in found if parent_id in (None, task.parent_id)), PAGE))

    def update_task(self, task_id: int, name: str | None = None, description: str | None = None) -> None:
        given = (("name", name), ("description", description))
        with _failures():
            changes = {key: _text(text) for key, text in given if text is not None}
            if not self._items.change("task", task_id, changes):
                raise missing(task_id)

    def add_comment(self, task_id: int, text: str) -> int:
        with _failures():
            self._find(task_id)
            return self._items.add("comment", {"task_id": {"N": str(task_id)}, "text": _text(text)})

    def _find(self, task_id: int) -> Item:
        if (item := self._items.get("task", task_id)) is None:
            raise missing(task_id)
        return item


@contextmanager
def _failures() -> Iterator[None]:
    """AWS's own words name accounts and roles."""
    try:
        yield
    except UnicodeError:
        raise PlanfixError("The board's table cannot hold this text: it has an invalid character") from None
    except ClientError as error:
        raise PlanfixError(f"The board's table cannot be used ({error.response['Error']['Code']})") from error
    except BotoCoreError as error:
        raise PlanfixError(f"The board's table cannot be used ({type(error).__name__})") from error


def _text(text: str) -> Item:
    text.encode()  # a half of a surrogate pair would go out as an escape
    return {"S": text}


def _task(item: Item) -> Task:
    parent = int(item["parent_id"]["N"]) if "parent_id" in item else None
    return Task(id_of(item), item["name"]["S"], item["description"]["S"], parent)
