from agency_swarm import Agent


def create_communication_agent() -> Agent:
    return Agent(
        name="CommunicationAgent",
        description="Writes the letter that answers a client's request and has it stored in its subtask.",
        instructions="./instructions.md",
    )
