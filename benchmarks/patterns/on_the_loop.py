"""Legacy code that runs on the loop's own thread, and the chain of awaits beside it."""

import asyncio
from typing import Any

import anyio
import nest_asyncio
from agency_swarm import (
    Agency,
    BaseTool,
    GuardrailFunctionOutput,
    RunHooks,
    Runner,
    SDKAgent,
    function_tool,
    input_guardrail,
)

from benchmarks.patterns.scripted import Scripted, agent, answer, chain, one, to, using, work

# ---- the chain of awaits: fine anywhere ----------------------------------------------------------------------------


async def await_five_hops() -> str:
    return await answer(chain())


async def await_parallel_send_message() -> str:
    boss = agent("Boss", [to("A"), to("B")], "done")
    return await answer(Agency(boss, communication_flows=[boss > agent("A", "a"), boss > agent("B", "b")]))


async def await_stream_of_five_hops() -> str:
    stream = chain().get_response_stream("hello")
    async for _ in stream:
        pass
    return str(stream.final_result.final_output)  # type: ignore[union-attr]


async def await_parallel_agencies() -> str:
    return str((await asyncio.gather(*(answer(chain()) for _ in range(5))))[0])


# ---- synchronous code on the loop's thread --------------------------------------------------------------------------


async def endpoint_asyncio_run() -> str:
    return asyncio.run(work())


async def endpoint_run_until_complete() -> str:
    return asyncio.get_event_loop().run_until_complete(work())


async def endpoint_get_response_sync() -> str:
    return str(chain().get_response_sync("hello").final_output)


async def endpoint_new_event_loop() -> str:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


async def endpoint_asyncio_runner() -> str:
    with asyncio.Runner() as runner:
        return runner.run(work())


async def endpoint_run_coroutine_threadsafe() -> str:
    return asyncio.run_coroutine_threadsafe(work(), asyncio.get_running_loop()).result()


async def endpoint_anyio_run() -> str:
    return anyio.run(work)


async def endpoint_late_nest_asyncio() -> str:
    nest_asyncio.apply()
    return asyncio.run(work())


async def endpoint_nested_deep() -> str:
    async def down(level: int) -> str:
        return asyncio.run(down(level - 1)) if level else await work()

    return await down(20)


async def endpoint_parallel_asyncio_run() -> str:
    async def nested() -> str:
        return asyncio.run(work())

    return (await asyncio.gather(*(nested() for _ in range(10))))[0]


async def async_tool_asyncio_run() -> str:
    @function_tool
    async def legacy() -> str:
        """Legacy."""
        return asyncio.run(work())

    return await answer(using(legacy))


async def async_tool_run_until_complete() -> str:
    class Legacy(BaseTool):
        """Legacy."""

        async def run(self) -> str:
            return asyncio.get_event_loop().run_until_complete(work())

    return await answer(using(Legacy))


async def async_tool_get_response_sync() -> str:
    @function_tool
    async def legacy() -> str:
        """Legacy."""
        return str(chain().get_response_sync("hello").final_output)

    return await answer(using(legacy))


async def async_tool_runner_run_sync() -> str:
    @function_tool
    async def legacy() -> str:
        """Legacy."""
        return str(Runner.run_sync(SDKAgent(name="Plain", model=Scripted("done")), "hello").final_output)

    return await answer(using(legacy))


async def load_callback_asyncio_run() -> str:
    loaded: list[Any] = []

    def load() -> list[Any]:
        loaded.append(asyncio.run(work()))
        return []

    agency = Agency(agent("One", "done"), load_threads_callback=load, save_threads_callback=lambda messages: None)
    await answer(agency)
    return str(loaded[0]) if loaded else "Error: the history was not loaded"


async def save_callback_asyncio_run() -> str:
    saved: list[Any] = []
    agency = Agency(
        agent("One", "done"),
        load_threads_callback=list,
        save_threads_callback=lambda messages: saved.append(asyncio.run(work())),
    )
    await answer(agency)
    return str(saved[0]) if saved else "Error: the history was not saved"


async def hook_asyncio_run() -> str:
    class Legacy(RunHooks):  # type: ignore[type-arg]
        async def on_agent_start(self, context: Any, agent: Any) -> None:
            asyncio.run(work())

    return str((await one().get_response("hello", hooks_override=Legacy())).final_output)


async def guardrail_asyncio_run() -> str:
    @input_guardrail
    def legacy(context: Any, agent: Any, message: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=asyncio.run(work()), tripwire_triggered=False)

    return await answer(one(input_guardrails=[legacy]))


async def instructions_asyncio_run() -> str:
    agency = one()
    agency.agents["One"].instructions = lambda context, agent: asyncio.run(work())
    return await answer(agency)
