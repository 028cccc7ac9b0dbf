"""Planfix, the task board: its REST API if PLANFIX_URL and PLANFIX_TOKEN (or PLANFIX_TOKEN_SECRET) are set, else an
embedded board: a file, or with PLANFIX_BOARD=dynamodb://TABLE a table that any number of Lambdas share.

Every method blocks, so a tool calls it from a worker thread, never from the event loop.
"""

import os
import re
from pathlib import Path
from typing import Protocol

from agreement_desk.planfix_board import Board
from agreement_desk.planfix_rest import RestApi
from agreement_desk.task import PlanfixError, Task


class Planfix(Protocol):
    """The contract of all three. Every method raises PlanfixError, also for a task that does not exist."""

    def create_task(self, name: str, description: str = "", parent_id: int | None = None) -> int: ...

    def get_task(self, task_id: int) -> Task: ...

    def list_tasks(self, text: str = "", parent_id: int | None = None) -> list[Task]:
        """At most PAGE tasks by id: those whose name contains the text, those below the parent."""
        ...

    def update_task(self, task_id: int, name: str | None = None, description: str | None = None) -> None:
        """Replace what is given and keep the rest."""
        ...

    def add_comment(self, task_id: int, text: str) -> int: ...


def open_planfix() -> Planfix:
    """Choose by the environment. Touches neither network nor disk.

    Raises:
        PlanfixError: one of the two variables is set and the other is not, or a URL is none.
    """
    url, token, secret = (
        os.environ.get(name, "").strip() for name in ("PLANFIX_URL", "PLANFIX_TOKEN", "PLANFIX_TOKEN_SECRET")
    )
    if secret and url and not token:
        from agreement_desk.planfix_token import token_in  # and boto3, only where it is used

        return RestApi(_checked(url), lambda: token_in(secret))
    if not url and not token:
        return _open_board()
    if not url or not token:
        given, absent = ("PLANFIX_URL", "PLANFIX_TOKEN") if url else ("PLANFIX_TOKEN", "PLANFIX_URL")
        raise PlanfixError(f"{absent} is not set but {given} is: set both, or neither for the embedded board")
    return RestApi(_checked(url), token)


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise PlanfixError("PLANFIX_URL must start with https://, as in https://ACCOUNT.planfix.com/rest/")
    return url


def _open_board() -> Planfix:
    """Only /tmp is writable on Lambda; on a laptop the data stays with the checkout."""
    folder = "/tmp" if "AWS_LAMBDA_FUNCTION_NAME" in os.environ else ".data"
    store = os.environ.get("STORE", "")  # the service's own table, which every function sees
    table = store if store.startswith("dynamodb://") else ""
    place = os.environ.get("PLANFIX_BOARD") or table or f"{folder}/board.db"
    if "://" not in place:
        return Board(Path(place))
    if not (named := re.fullmatch(r"dynamodb://([a-zA-Z0-9_.-]{3,255})", place)):
        raise PlanfixError("PLANFIX_BOARD must be the path of a file, or dynamodb://TABLE")
    from agreement_desk.planfix_table import TableBoard  # and boto3, only where it is used

    return TableBoard(named[1])
