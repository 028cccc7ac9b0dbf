"""The texts that Python's `dataclasses` writes for what the service imports, to be compiled for `handler/compiled`."""

import os
import subprocess
import sys

from infra.bundle_sources import ROOT, BundleError

_ENVIRONMENT = {
    "PYTHONPATH": "agents",
    "DEFER_IMPORTS": "0",
    "AWS_LAMBDA_FUNCTION_NAME": "api",
    "AWS_SAM_LOCAL": "true",  # no keys are needed
}


def texts() -> str:
    """A list in JSON. It comes from what is installed beside this: the versions are those of the bundle.

    Raises:
        BundleError: the service cannot be imported.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "handler.compiled"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **_ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BundleError(f"the service could not be imported: {done.stderr.strip()}")
    return done.stdout
