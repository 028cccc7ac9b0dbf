"""Agency Swarm's own server."""

from agency_swarm.integrations.fastapi import run_fastapi
from desk import create_agency

app = run_fastapi(agencies={"desk": create_agency}, return_app=True)
