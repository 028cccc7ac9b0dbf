import asyncio
import json
import os
from typing import Annotated, Any

from agency_swarm import function_tool
from pydantic import Field

from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_agent.tools.failure import tell


def asks_first(_: object, arguments: dict[str, Any], __: str) -> bool:
    """Whether a person has to approve a call: with PLANFIX_ASK=1 each new description, which is where letters go."""
    return os.environ.get("PLANFIX_ASK") == "1" and arguments.get("description") is not None


@function_tool(failure_error_function=tell, needs_approval=asks_first)
async def update_task(
    task_id: Annotated[int, Field(description="The id of the task.")],
    name: Annotated[str | None, Field(description="The new name; null to keep it.")] = None,
    description: Annotated[str | None, Field(description="The new description; null to keep it.")] = None,
) -> str:
    """Replace the name or the whole description of a task, for example to store a letter in it."""
    await asyncio.to_thread(open_planfix().update_task, task_id, name, description)
    return json.dumps({"id": task_id, "updated": True})
