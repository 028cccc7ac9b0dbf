"""A process of `workers()` with the agency of these tests, and with leases that do not last so long."""

import agencies
from agency_lambda.runs import model

model.LEASE_SECONDS, model.GRACE = 2.0, 1.0

from agency_lambda.runs import heartbeat  # noqa: E402
from agency_lambda.testing import workers  # noqa: E402
from tests.library.survival.desk import desk  # noqa: E402
from tests.library.survival.swarm import swarm  # noqa: E402

agencies.AGENCIES = {"desk": desk, "swarm": swarm}
heartbeat.FLUSH, heartbeat.RENEW, workers._SWEEP = 0.05, 0.3, 0.2
workers.main()
