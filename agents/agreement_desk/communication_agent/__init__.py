from agreement_desk.communication_agent.communication_agent import create_communication_agent

__all__ = ["create_communication_agent"]
