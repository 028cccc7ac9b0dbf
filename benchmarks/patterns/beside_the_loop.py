"""Legacy code on a worker thread, a loop that waits for a thread, and code that ends the loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agency_swarm import BaseTool, Runner, SDKAgent, function_tool

from benchmarks.patterns.scripted import Scripted, answer, chain, using, work

# ---- synchronous code on a worker thread ----------------------------------------------------------------------------


def sync_tool(call: Callable[[], Any]) -> Any:
    """A tool whose `run` is synchronous: the framework runs it on a worker thread."""

    class Legacy(BaseTool):
        """Legacy."""

        def run(self) -> str:
            return str(call())

    return Legacy


async def sync_tool_asyncio_run() -> str:
    return await answer(using(sync_tool(lambda: asyncio.run(work()))))


async def sync_tool_get_response_sync() -> str:
    return await answer(using(sync_tool(lambda: chain().get_response_sync("hello").final_output)))


async def sync_tool_run_until_complete() -> str:
    return await answer(using(sync_tool(lambda: asyncio.get_event_loop().run_until_complete(work()))))


async def sync_tool_new_event_loop() -> str:
    def call() -> str:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(work())
        finally:
            loop.close()

    return await answer(using(sync_tool(call)))


async def sync_tool_run_coroutine_threadsafe() -> str:
    loop = asyncio.get_running_loop()
    return await answer(using(sync_tool(lambda: asyncio.run_coroutine_threadsafe(work(), loop).result(5))))


async def sync_tool_runner_run_sync() -> str:
    def call() -> Any:
        return Runner.run_sync(SDKAgent(name="Plain", model=Scripted("done")), "hello").final_output

    return await answer(using(sync_tool(call)))


def sync_endpoint_asyncio_run() -> str:
    return asyncio.run(work())


def sync_endpoint_get_response_sync() -> str:
    return str(chain().get_response_sync("hello").final_output)


def sync_endpoint_gather() -> str:
    async def both() -> str:
        return (await asyncio.gather(work(), work()))[0]

    return asyncio.run(both())


# ---- the loop's thread waits for a thread that needs the loop -------------------------------------------------------


async def endpoint_waits_for_pool() -> str:
    with ThreadPoolExecutor() as pool:
        return pool.submit(asyncio.run, work()).result()


async def endpoint_waits_for_agency_in_pool() -> str:
    with ThreadPoolExecutor() as pool:
        return str(pool.submit(lambda: asyncio.run(chain().get_response("hello")).final_output).result())


async def endpoint_joins_thread() -> str:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work())))
    thread.start()
    thread.join()
    return results[0]


async def async_tool_waits_for_pool() -> str:
    @function_tool
    async def legacy() -> str:
        """Legacy."""
        with ThreadPoolExecutor() as pool:
            return str(pool.submit(chain().get_response_sync, "hello").result().final_output)

    return await answer(using(legacy))


# ---- what legacy code does to the loop itself -----------------------------------------------------------------------


async def endpoint_closes_the_loop() -> str:
    loop = asyncio.get_event_loop()
    try:
        return await work()
    finally:
        loop.close()


async def endpoint_stops_the_loop() -> str:
    asyncio.get_event_loop().stop()
    return await work()


async def endpoint_cancels_all_tasks() -> str:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
    return await work()
