"""The benchmark's agencies, whose model notes in the file BENCH_STAMPS when it has its first token, and then takes as
long for each token as a fast one does."""

# The folder stands before the other one of that name where the time to a stream's first event is measured.

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from instant_model import InstantModel
from openai.types.responses import ResponseTextDeltaEvent

__all__ = ["AGENCIES"]

AGENCIES = {"bench": "bench_agency:create_agency", "one": "bench_agency:create_one"}

_TOKEN = 0.005  # seconds
_unstamped = InstantModel.stream_response
_stamps = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


async def _stamped(self: InstantModel, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
    # A line for each answer: time.monotonic_ns(), a clock that all processes share.
    first = True
    async for event in _unstamped(self, *args, **kwargs):
        token = isinstance(event, ResponseTextDeltaEvent)
        if first and token:
            os.write(_stamps, b"%d\n" % time.monotonic_ns())
            first = False
        yield event
        if token:
            await asyncio.sleep(_TOKEN)


InstantModel.stream_response = _stamped
