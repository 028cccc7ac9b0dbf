from agency_swarm import Agent


def create_agreement_manager() -> Agent:
    return Agent(
        name="AgreementManager",
        description="Takes what a client asks from the user, has it recorded and answered, and reports back.",
        instructions="./instructions.md",
        conversation_starters=[
            "Client Weber GmbH asks about next week's installation plan for the crew in Stuttgart. Prepare the reply."
        ],
    )
