"""One HTTPS request, from event to answer."""

import gc
import os

from handler import compiled, deferred

# Importing agency_swarm would load a `.env` from above site-packages over the real variables, after we have read them.
os.environ["PYTHON_DOTENV_DISABLED"] = "1"

compiled.install()

# Where a start is prepared before anybody waits for it, all is imported then.
_IS_PREPARED = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in ("snap-start", "provisioned-concurrency")

if os.environ.get("DEFER_IMPORTS") != "0" and not _IS_PREPARED:
    deferred.install()
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    gc.disable()  # importing leaves no garbage; `snapshot.register`, at the end of an entry, enables it again
