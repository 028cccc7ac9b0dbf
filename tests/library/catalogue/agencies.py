"""Texts of small agencies."""

AGENCY = """
from agency_swarm import Agency, Agent

def create_agency(load_threads_callback=None):
    return Agency(Agent(name="One", instructions="."))
"""
#: as the framework's starter template writes it: siblings imported without the folder's name, agents made once
STARTER = {
    "starter/agency": """
        from dotenv import load_dotenv
        from agency_swarm import Agency
        from example_agent import example_agent
        from example_agent2 import example_agent2

        load_dotenv()

        def create_agency(load_threads_callback=None):
            return Agency(
                example_agent,
                communication_flows=[(example_agent, example_agent2)],
                shared_instructions="shared_instructions.md",
                load_threads_callback=load_threads_callback,
            )
    """,
    "starter/example_agent/__init__": "from .example_agent import example_agent",
    "starter/example_agent/example_agent": """
        from agency_swarm import Agent

        example_agent = Agent(
            name="ExampleAgent", instructions="./instructions.md", tools_folder="./tools", files_folder="./files"
        )
    """,
    "starter/example_agent/tools/ExampleTool": """
        from agency_swarm.tools import BaseTool
        from pydantic import Field
        from shared_names import GREETING

        class ExampleTool(BaseTool):
            "Greets."

            name_of_whom: str = Field(..., description="whom")

            def run(self):
                return f"{GREETING}, {self.name_of_whom}!"
    """,
    "starter/example_agent/instructions.md": "You greet.",
    "starter/example_agent2/__init__": "from .example_agent2 import example_agent2",
    "starter/example_agent2/example_agent2": """
        from agency_swarm import Agent

        example_agent2 = Agent(name="ExampleAgent2", instructions="./instructions.md")
    """,
    "starter/example_agent2/instructions.md": "You help.",
    "starter/shared_names": 'GREETING = "Hello"',
    "starter/shared_instructions.md": "Be brief.",
    "starter/main": "from agency import create_agency\nimport nowhere",
}
