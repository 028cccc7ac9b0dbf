"""Agency Swarm's own server behind Mangum, as its users put it on a Lambda."""

from agency_swarm.integrations.fastapi import run_fastapi
from mangum import Mangum

from agencies import AGENCIES

handler = Mangum(run_fastapi(agencies=AGENCIES, return_app=True))
