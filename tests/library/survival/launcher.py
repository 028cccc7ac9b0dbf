"""`python -m handler.local` with the agency of these tests, and with leases that do not last so long."""

import agencies
from agency_lambda.runs import leases

leases.TIME, leases.GRACE = 2.0, 1.0

from agency_lambda import local  # noqa: E402
from agency_lambda.runs import attempt, worker  # noqa: E402

agencies.AGENCIES = {"desk": "tests.library.survival.desk:desk"}
attempt._FLUSH, attempt._RENEW, worker._REAP = 0.05, 0.3, 0.2
local.main()
