import json
from typing import Annotated

from agency_swarm import function_tool
from pydantic import Field

from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_agent.tools.failure import tell
from agreement_desk.task import PAGE


@function_tool(failure_error_function=tell)
def list_tasks(
    text: Annotated[str, Field(description="Only tasks whose name contains this; empty for any.")] = "",
    parent_id: Annotated[int | None, Field(description="Only subtasks of this task; null for any.")] = None,
) -> str:
    """List tasks with id, name and parent_id. "more": there may be others, so narrow the search."""
    tasks = open_planfix().list_tasks(text, parent_id)
    rows = [{"id": task.id, "name": task.name, "parent_id": task.parent_id} for task in tasks]
    return json.dumps({"tasks": rows, "more": len(rows) == PAGE}, ensure_ascii=False)
