"""What the requests of one execution environment share."""

from functools import cache
from typing import TYPE_CHECKING

from agency_lambda.settings import get_settings

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService


@cache
def runs() -> "RunService":
    """Made by the first request that runs an agency: importing the framework takes longer than all the rest."""
    from agency_lambda.runs.service import RunService

    return RunService(get_settings())


async def close() -> None:
    """Close what was made; whoever asks again gets another."""
    if runs.cache_info().currsize:
        await runs().aclose()
        runs.cache_clear()
