"""Three agents and the five calls of the original report, with a model that answers at once."""

# Manager asks Registrar, which calls `CreateSubtask`; then it asks Writer, which asks
# Registrar, which calls `read_subtask`. That is nine model calls.

from typing import Any

from agency_swarm import Agency, Agent, BaseTool, function_tool
from instant_model import InstantModel, Plan, Say
from pydantic import Field

LETTER = "Dear Nordwind, the crew comes on Monday at eight."


class CreateSubtask(BaseTool):
    """Create a subtask of the client's task."""

    title: str = Field(..., description="what is to be done")

    def run(self) -> str:
        """Return its number."""
        return f"Subtask 7: {self.title}"


@function_tool
async def read_subtask(number: int) -> str:
    """Read a subtask.

    Args:
        number: the subtask's number
    """
    return f"Subtask {number}: the crew comes on Monday at eight."


def send(recipient: str, message: str) -> Say:
    """A call of a colleague."""
    return "send_message", {"recipient_agent": recipient, "message": message, "additional_instructions": ""}


def manager(message: str, step: int) -> Say:
    """Return what Manager says next, `step` calls after the message."""
    return (send("Registrar", "Create a subtask."), send("Writer", "Write the letter."), LETTER)[step]


def registrar(message: str, step: int) -> Say:
    if step:
        return "Subtask 7 is there: Monday at eight."
    if message.startswith("Create"):
        return "CreateSubtask", {"title": "Answer Nordwind"}
    return "read_subtask", {"number": 7}


def communication(message: str, step: int) -> Say:
    return LETTER if step else send("Registrar", "Details of subtask 7, please.")


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Three agents that call each other and their tools."""
    boss = _agent("Manager", manager)
    tasks = _agent("Registrar", registrar, tools=[CreateSubtask, read_subtask])
    letters = _agent("Writer", communication)
    return Agency(
        boss,
        communication_flows=[(boss, tasks), (boss, letters), (letters, tasks)],
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )


def create_one(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """One agent and one model call."""
    return Agency(
        _agent("Clerk", lambda message, step: LETTER),
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )


def _agent(name: str, plan: Plan, **options: Any) -> Agent:
    instructions = f"You are {name}. Be brief and exact."
    return Agent(name=name, instructions=instructions, model=InstantModel(plan), **options)


FACTORIES = {"bench": create_agency, "one": create_one}
