"""LangChain's agent, as LangGraph's server runs it."""

from desk_tools import INSTRUCTIONS, TOOLS
from langchain.agents import create_agent

graph = create_agent("openai:gpt-4.1", tools=TOOLS, system_prompt=INSTRUCTIONS)
