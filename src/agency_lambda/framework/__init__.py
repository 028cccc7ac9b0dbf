"""The only package that imports Agency Swarm and the Agents SDK."""
