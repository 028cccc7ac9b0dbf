from agents import FunctionTool

from agreement_desk.planfix_agent.tools.add_comment import add_comment
from agreement_desk.planfix_agent.tools.create_task import create_task
from agreement_desk.planfix_agent.tools.get_task import get_task
from agreement_desk.planfix_agent.tools.list_tasks import list_tasks
from agreement_desk.planfix_agent.tools.update_task import update_task

TOOLS: tuple[FunctionTool, ...] = (create_task, get_task, list_tasks, update_task, add_comment)
