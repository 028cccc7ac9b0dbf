"""What `benchmarks.agent_messages` serves; a source root of its own."""

AGENCIES = {"swarm": "swarm_agency:create_swarm", "chain": "swarm_agency:create_chain"}
