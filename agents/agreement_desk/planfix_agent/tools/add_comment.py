import asyncio
import json
from typing import Annotated

from agency_swarm import function_tool
from pydantic import Field

from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_agent.tools.failure import tell


@function_tool(failure_error_function=tell)
async def add_comment(
    task_id: Annotated[int, Field(description="The id of the task.")],
    text: Annotated[str, Field(description="The comment.")],
) -> str:
    """Add a comment to a task. Returns the comment's id."""
    comment_id = await asyncio.to_thread(open_planfix().add_comment, task_id, text)
    return json.dumps({"id": comment_id, "task_id": task_id})
