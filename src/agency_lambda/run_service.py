"""The one RunService of an execution environment, which all of its requests share."""

from functools import cache
from typing import TYPE_CHECKING

from agency_lambda.settings import get_settings

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService


@cache
def get_run_service() -> "RunService":
    """Return the service. The first call imports the framework, which takes longer than the rest of a start."""
    from agency_lambda.runs.service import RunService

    return RunService(get_settings())


async def close_run_service() -> None:
    """Close the service, if there is one; the next request makes another."""
    if get_run_service.cache_info().currsize:
        await get_run_service().aclose()
        get_run_service.cache_clear()
