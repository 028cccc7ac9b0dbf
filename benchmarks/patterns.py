"""The ways in which people call an agency, or anything asynchronous, from a request: one route each.

Each pattern answers with the work's result, or raises what the framework or asyncio raised. `STRICT` names those that
strict mode refuses. No pattern needs a network: the model is scripted and answers at once.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import nest_asyncio
from agency_swarm import (
    Agency,
    Agent,
    BaseTool,
    GuardrailFunctionOutput,
    RunHooks,
    Runner,
    SDKAgent,
    function_tool,
    input_guardrail,
)
from agents import Model, ModelResponse, Usage
from fastapi import FastAPI
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

Say = str | list[tuple[str, str]]  # a text, or calls: (tool, JSON arguments)


THINKING = 0.02  # seconds that the model takes


class Scripted(Model):
    """Says one thing after the other."""

    model = "scripted"

    def __init__(self, *says: Say) -> None:
        self._says = list(says)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        await asyncio.sleep(THINKING)
        return ModelResponse(output=_items(self._says.pop(0)), usage=Usage(requests=1), response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(THINKING)
        response = Response(
            id="resp_scripted",
            created_at=0,
            model=self.model,
            object="response",
            output=_items(self._says.pop(0)),
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
        )
        yield ResponseCompletedEvent(response=response, type="response.completed", sequence_number=0)


def _items(say: Say) -> list[Any]:
    if isinstance(say, str):
        text = ResponseOutputText(text=say, type="output_text", annotations=[])
        return [ResponseOutputMessage(id="msg", content=[text], role="assistant", status="completed", type="message")]
    return [
        ResponseFunctionToolCall(id=f"fc_{i}", call_id=f"call_{i}", name=name, arguments=args, type="function_call")
        for i, (name, args) in enumerate(say)
    ]


async def work(value: str = "done") -> str:
    """What the legacy code wants to run: it needs the loop more than once."""
    await asyncio.sleep(0.001)
    await asyncio.gather(asyncio.sleep(0.001), asyncio.sleep(0.001))
    return value


def agent(name: str, *says: Say, **options: Any) -> Agent:
    """An agent that says what it is told to."""
    return Agent(name=name, instructions=options.pop("instructions", name), model=Scripted(*says), **options)


def one(*says: Say, **options: Any) -> Agency:
    """An agency of one agent."""
    return Agency(agent("One", *(says or ("done",)), **options))


def to(recipient: str, message: str = "please") -> tuple[str, str]:
    """A call of send_message."""
    return (
        "send_message",
        f'{{"recipient_agent": "{recipient}", "message": "{message}", "additional_instructions": ""}}',
    )


def chain() -> Agency:
    """The flow of the original report: five hops, the last back to an agent that has worked already."""
    manager = agent("Manager", [to("Registrar")], [to("Writer")], "done")
    registrar = agent("Registrar", "subtask 7", "details of 7", "stored in 7")
    writer = agent("Writer", [to("Registrar")], [to("Registrar")], "the letter")
    return Agency(manager, communication_flows=[manager > registrar, manager > writer, writer > registrar])


def using(tool: Any, **options: Any) -> Agency:
    """An agency whose agent calls the tool once and repeats its output, so that a swallowed error is seen."""
    name = getattr(tool, "name", None) or tool.__name__
    return Agency(agent("One", [(name, "{}")], "done", tools=[tool], **options))


async def answer(agency: Agency) -> str:
    """The agency's final word, and every tool output before it that is an error."""
    result = await agency.get_response("hello")
    outputs = [str(getattr(item, "output", "")) for item in result.new_items]
    return next((text for text in outputs if "rror" in text), str(result.final_output))


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


def _patterns() -> dict[str, Callable[[], Any]]:
    starts = ("await_", "endpoint_", "async_tool_", "sync_", "load_", "save_", "hook_", "guardrail_", "instructions_")
    return {name: thing for name, thing in globals().items() if name.startswith(starts) and name != "sync_tool"}


PATTERNS = _patterns()
#: what strict mode refuses by name and line; everything else works there too
STRICT = {
    *(name for name in PATTERNS if name.startswith(("hook_", "guardrail_", "instructions_", "load_", "save_"))),
    *("endpoint_asyncio_run", "endpoint_run_until_complete", "endpoint_get_response_sync", "endpoint_new_event_loop"),
    *(
        "endpoint_asyncio_runner",
        "endpoint_late_nest_asyncio",
        "endpoint_run_coroutine_threadsafe",
        "endpoint_nested_deep",
        "endpoint_parallel_asyncio_run",
    ),
    *("async_tool_asyncio_run", "async_tool_run_until_complete", "async_tool_get_response_sync"),
    *("sync_tool_run_until_complete", "sync_tool_runner_run_sync"),
    *("endpoint_anyio_run", "async_tool_runner_run_sync"),
}


def make_app() -> FastAPI:
    """GET /{pattern} runs the pattern and answers ``{"result": ...}``."""
    app = FastAPI()
    for name, pattern in PATTERNS.items():
        app.get(f"/{name}", name=name)(_endpoint(pattern))
    return app


def _endpoint(pattern: Callable[[], Any]) -> Callable[[], Any]:
    if asyncio.iscoroutinefunction(pattern):

        async def endpoint() -> dict[str, str]:
            return {"result": await pattern()}

        return endpoint

    def sync_endpoint() -> dict[str, str]:
        return {"result": pattern()}

    return sync_endpoint
