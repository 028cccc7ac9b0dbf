"""The first lines of a process that serves: they come before anything else is imported."""

import gc
import os

import deferred_imports
from agency_lambda.framework import dotenv_at_import

ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ

# Where a start is prepared before anybody waits for it, everything is imported then.
_IS_PREPARED = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in ("snap-start", "provisioned-concurrency")


def begin() -> None:
    """Defer what can be imported later, keep `.env` files out of the environment, and stop the garbage collector.

    On Lambda the collector stays off until `snap_start.register`, at the end of an entry: importing leaves no garbage.
    """
    if os.environ.get("DEFER_IMPORTS") != "0" and not _IS_PREPARED:
        deferred_imports.install(freeze=ON_LAMBDA)
    dotenv_at_import.disable()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing litellm fetches a file from the network
    if ON_LAMBDA:
        gc.disable()
