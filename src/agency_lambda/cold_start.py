import gc
import os

import deferred_imports
from agency_lambda.framework import dotenv_at_import

ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ

# Where a start is prepared before anybody waits for it, everything is imported then.
_IS_PREPARED = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in ("snap-start", "provisioned-concurrency")


def begin() -> None:
    """Defer heavy imports, ignore `.env` files, and on Lambda stop the garbage collector."""
    if os.environ.get("DEFER_IMPORTS") != "0" and not _IS_PREPARED:
        deferred_imports.install(freeze=True)
    dotenv_at_import.disable()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing litellm fetches a file from the network
    if ON_LAMBDA:
        gc.disable()  # until snap_start.register: importing leaves no garbage
