"""Agency Swarm's own server behind Mangum, as its users put it on a Lambda."""

from agency_swarm.integrations.fastapi import run_fastapi
from bench_agency import FACTORIES
from mangum import Mangum

handler = Mangum(run_fastapi(agencies=FACTORIES, return_app=True))
