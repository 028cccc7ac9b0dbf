"""`python -m handler.local` with leases that end soon: what a killed server has left goes on in seconds."""

from agency_lambda.runs import model

model.LEASE_SECONDS, model.GRACE = 3.0, 1.0

from agency_lambda import local  # noqa: E402
from agency_lambda.runs import heartbeat, worker  # noqa: E402

heartbeat.FLUSH, heartbeat.RENEW, worker._REAP = 0.05, 0.5, 0.2
local.serve("handler.app:app")
