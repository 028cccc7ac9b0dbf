"""One HTTPS request, from event to answer."""

import gc
import os

from handler import deferred

# Importing agency_swarm would load a `.env` from above site-packages over the real variables, after we have read them.
os.environ["PYTHON_DOTENV_DISABLED"] = "1"

if os.environ.get("DEFER_IMPORTS") != "0":
    deferred.install()
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    gc.disable()  # importing leaves no garbage; `snapshot.register`, at the end of an entry, enables it again
