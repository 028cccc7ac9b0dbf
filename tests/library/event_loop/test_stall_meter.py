"""One meter serves all requests of a loop."""

import asyncio
import time

from lambda_loop.invocation import Invocation
from lambda_loop.report import InvocationReport
from lambda_loop.stall_meter import StallMeter


def test_stall_is_reported_to_the_requests_that_it_delayed() -> None:
    first, second, third = (InvocationReport("patch") for _ in range(3))

    async def main() -> None:
        meter = StallMeter(asyncio.get_running_loop(), Invocation(InvocationReport("patch")))
        with meter.measure(second):
            with meter.measure(first):
                await asyncio.sleep(0.03)
            time.sleep(0.15)  # noqa: ASYNC251
            with meter.measure(third):
                await asyncio.sleep(0.03)
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert all(timer.cancelled() for timer in timers), "it runs on without a request"

    asyncio.run(main())
    assert second.longest_stall_ms > 100
    assert max(first.longest_stall_ms, third.longest_stall_ms) < 100


def test_requests_have_one_timer() -> None:
    async def main() -> int:
        meter = StallMeter(asyncio.get_running_loop(), Invocation(InvocationReport("patch")))
        with meter.measure(InvocationReport("patch")), meter.measure(InvocationReport("patch")):
            await asyncio.sleep(0.05)
            timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            return sum(not timer.cancelled() for timer in timers)

    assert asyncio.run(main()) == 1
