"""`python -m agency_lambda.testing.crash RUN CALLS`: work on a run, and die before the model call after so many."""

import asyncio
import os
import sys

import pytest

from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.testing.offline_run import record

EXIT_CODE = 9


def main(run: str, calls: int) -> None:
    def die(count: int) -> None:
        if count == calls:
            os._exit(EXIT_CODE)

    with pytest.MonkeyPatch.context() as patch:
        record(patch, die)
        asyncio.run(worker.work(get_run_service(), run))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
