"""`python -m handler.local` with the agency of these tests, and with leases that do not last so long."""

import agencies
from handler.records import leases

leases.TIME, leases.GRACE = 2.0, 1.0

from handler import local  # noqa: E402
from handler.runs import run, work  # noqa: E402

agencies.AGENCIES = {"desk": "tests.survival.desk:desk"}
run._FLUSH, run._RENEW, work._SWEEP = 0.05, 0.3, 0.2
local.main()
