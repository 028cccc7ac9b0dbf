"""The RunService that all requests of an execution environment share."""

from functools import cache
from typing import TYPE_CHECKING

from agency_lambda.settings import get_settings

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService


@cache
def get_run_service() -> "RunService":
    from agency_lambda.runs.service import (
        RunService,
    )  # imported by the first request that needs runs

    return RunService(get_settings())


async def close_run_service() -> None:
    if get_run_service.cache_info().currsize:
        await get_run_service().aclose()
        get_run_service.cache_clear()
