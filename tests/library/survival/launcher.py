"""`python -m handler.local` with the agency of these tests, and with leases that do not last so long."""

import agencies
from agency_lambda.runs import model

model.LEASE_SECONDS, model.GRACE = 2.0, 1.0

from agency_lambda import local  # noqa: E402
from agency_lambda.runs import heartbeat, worker  # noqa: E402
from tests.library.survival.desk import desk  # noqa: E402

agencies.AGENCIES = {"desk": desk}
heartbeat.FLUSH, heartbeat.RENEW, worker._REAP = 0.05, 0.3, 0.2
local.serve("handler.app:app")
