"""What Planfix knows, whichever implementation is behind it."""

from dataclasses import dataclass

PAGE = 100  # tasks in one list; Planfix gives no more


@dataclass(frozen=True)
class Task:
    id: int
    name: str
    description: str
    parent_id: int | None


class PlanfixError(RuntimeError):
    """Planfix could not do it; the message is one sentence that may be shown to anybody."""


def missing(task_id: int | None) -> PlanfixError:
    return PlanfixError(f"Task {task_id} does not exist")
