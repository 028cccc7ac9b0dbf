import json
from dataclasses import asdict
from typing import Annotated

from agency_swarm import function_tool
from pydantic import Field

from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_agent.tools.failure import tell


@function_tool(failure_error_function=tell)
def get_task(task_id: Annotated[int, Field(description="The id of the task.")]) -> str:
    """Look one task up: id, name, description and parent_id."""
    return json.dumps(asdict(open_planfix().get_task(task_id)), ensure_ascii=False)
