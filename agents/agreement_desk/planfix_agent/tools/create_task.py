import asyncio
import json
from typing import Annotated

from agency_swarm import function_tool
from pydantic import Field

from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_agent.tools.failure import tell


@function_tool(failure_error_function=tell)
async def create_task(
    name: Annotated[str, Field(description="What is to be done, in at most 80 characters.")],
    description: Annotated[str, Field(description="All the details; may be empty.")],
    parent_id: Annotated[int | None, Field(description="The task to open a subtask of; null for none.")] = None,
) -> str:
    """Create a task, or a subtask of an existing one. Returns its id."""
    task_id = await asyncio.to_thread(open_planfix().create_task, name, description, parent_id)
    return json.dumps({"id": task_id, "name": name, "parent_id": parent_id}, ensure_ascii=False)
