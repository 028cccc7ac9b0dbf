from copy import copy

from agency_swarm import Agent

from agreement_desk.planfix_agent.tools import TOOLS


def create_planfix_agent() -> Agent:
    # Not `tools_folder`: it runs every tool file again for each agency (7 ms a request), in whatever order
    # the disk lists them, and only logs a file that fails. Copies, as an Agent puts its own guard into its tools.
    return Agent(
        name="PlanfixAgent",
        description="Works on the Planfix task board: opens tasks and subtasks, looks them up, changes them.",
        instructions="./instructions.md",
        tools=[copy(tool) for tool in TOOLS],
    )
