"""Agno's AgentOS with three agents: without a database, with one, and with a checkpoint after each batch of tools."""

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.os import AgentOS
from desk_tools import INSTRUCTIONS, TOOLS

db = SqliteDb(db_file="agno.db")
same = {"model": "openai:gpt-4.1", "instructions": INSTRUCTIONS, "tools": TOOLS, "telemetry": False}
kept = {"db": db, "add_history_to_context": True, "num_history_runs": 1000}  # all of it, as the others
agents = [
    Agent(id="plain", name="Plain", **same),
    Agent(id="stored", name="Stored", **same, **kept),
    Agent(id="checkpointed", name="Checkpointed", checkpoint="tool-batch", **same, **kept),
]
app = AgentOS(agents=agents, telemetry=False).get_app()
