"""Three agents: Secretary asks Registrar and Writer, and Writer asks Registrar."""

from typing import Any

from agency_swarm import Agency, Agent

from letters import tasks
from letters.tools import add_comment, create_task, get_task, list_tasks, update_task

STARTER = "Client Nordwind asks about next week's delivery. Prepare the reply."


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Build a new agency of new agents.

    Raises:
        NotADirectoryError: LETTERS_FOLDER is a file.
    """
    tasks.refuse_unusable_folder()
    tools = [create_task, get_task, list_tasks, update_task, add_comment]
    secretary = Agent(name="Secretary", instructions="./instructions.md", conversation_starters=[STARTER])
    registrar = Agent(name="Registrar", instructions="You are Registrar. You keep the tasks.", tools=tools)
    writer = Agent(name="Writer", instructions="You are Writer. You write the letters.")
    return Agency(
        secretary,
        communication_flows=[(secretary, registrar), (secretary, writer), (writer, registrar)],
        name="Letters",
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
