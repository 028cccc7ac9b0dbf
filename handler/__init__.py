"""One HTTPS request, from event to answer."""

import gc
import os

from handler import compiled, deferred, dotenv_at_import

compiled.install()

# Where a start is prepared before anybody waits for it, all is imported then.
_IS_PREPARED = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in ("snap-start", "provisioned-concurrency")

_ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
if os.environ.get("DEFER_IMPORTS") != "0" and not _IS_PREPARED:
    deferred.install(freeze=_ON_LAMBDA)
dotenv_at_import.disable()
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing litellm fetches a file from the network
if _ON_LAMBDA:
    gc.disable()  # importing leaves no garbage; `snapshot.register`, at the end of an entry, enables it again
