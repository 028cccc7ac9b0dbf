"""The only package of the service that imports Agency Swarm and the Agents SDK; `testing` does, too."""
