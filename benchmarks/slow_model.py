"""The benchmark's model, made to take its time, in a process that measures who else waits meanwhile."""

import asyncio
from typing import Any

from instant_model import InstantModel

_at_once = InstantModel.get_response
_at_work = 0


def slow_down(seconds: float) -> None:
    """Let every answer take so many seconds from now on."""

    async def get_response(self: InstantModel, *args: Any, **kwargs: Any) -> Any:
        global _at_work
        _at_work += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            _at_work -= 1
        return await _at_once(self, *args, **kwargs)

    InstantModel.get_response = get_response if seconds else _at_once


def is_at_work() -> bool:
    """Return whether somebody waits for an answer at this moment."""
    return _at_work > 0
