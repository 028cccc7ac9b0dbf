from agreement_desk.planfix_agent.planfix_agent import create_planfix_agent

__all__ = ["create_planfix_agent"]
