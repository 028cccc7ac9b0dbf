"""The shapes of Agency Swarm's own server, `run_fastapi`: requests, answers and events."""
