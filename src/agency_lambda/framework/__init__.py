"""The only package that imports Agency Swarm and the Agents SDK: it prepares agencies for runs and executes them."""
