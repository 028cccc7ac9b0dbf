"""Everybody who may call a model within a run: one agency for each, in which "Other" is asked besides "Boss"."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import agents
from agency_swarm import Agency, Agent, GuardrailFunctionOutput, function_tool, input_guardrail, output_guardrail
from agents import AgentHooks, OpenAIResponsesModel, RunConfig, Runner
from agents.models.multi_provider import MultiProvider
from openai import AsyncOpenAI, OpenAI

WORDS = "offline model: words of the other one"
PASSED = GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


def other(**more: Any) -> agents.Agent[Any]:
    """One of the SDK's, which Agency Swarm has not seen."""
    return agents.Agent(**{"name": "Other", "instructions": "You are Other.", **more})


def boss(*tools: Any, **more: Any) -> Agency:
    return Agency(Agent(**{"name": "Boss", "instructions": "You are Boss.", "tools": [*tools], **more}))


def consulting(consult: Callable[[], Any]) -> Agency:
    """Boss with a tool that asks Other in this way."""
    if asyncio.iscoroutinefunction(consult):

        async def run() -> str:
            """Asks the other one."""
            return str(await consult())
    else:

        def run() -> str:  # type: ignore[misc]
            """Asks the other one."""
            return str(consult())

    return boss(function_tool(run, name_override="consult"))


def colleague() -> Agency:
    one, two = (Agent(name=name, instructions=f"You are {name}.") for name in ("Boss", "Other"))
    return Agency(one, communication_flows=[one > two])


def judge_of_input() -> Agency:
    @input_guardrail
    async def judged(context: Any, agent: Any, message: Any) -> GuardrailFunctionOutput:
        await Runner.run(other(), message)
        return PASSED

    return boss(input_guardrails=[judged])


def judge_of_output() -> Agency:
    @output_guardrail
    async def judged(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        await Runner.run(other(), str(output))
        return PASSED

    return boss(output_guardrails=[judged])


def as_tool() -> Agency:
    return boss(other().as_tool("consult", "Asks the other one."))


def swarm_agent_as_tool() -> Agency:
    made = Agent(name="Other", instructions="You are Other.")
    return boss(made.as_tool("consult", "Asks the other one."))


def nested_agency() -> Agency:
    async def consult() -> Any:
        nested = Agency(Agent(name="Other", instructions="You are Other."))
        return (await nested.get_response("a question")).final_output

    return consulting(consult)


def nested_agency_at_the_top() -> Agency:
    nested = Agency(Agent(name="Other", instructions="You are Other."))

    async def consult() -> Any:
        return (await nested.get_response("a question")).final_output

    return consulting(consult)


def nested_agency_streamed() -> Agency:
    async def consult() -> Any:
        nested = Agency(Agent(name="Other", instructions="You are Other."))
        stream = nested.get_response_stream("a question")
        async for _ in stream:
            pass
        result = stream.final_result
        assert result
        return result.final_output

    return consulting(consult)


def nested_agency_sync() -> Agency:
    def consult() -> Any:
        nested = Agency(Agent(name="Other", instructions="You are Other."))
        return nested.get_response_sync("a question").final_output

    return consulting(consult)


def agent_alone() -> Agency:
    alone = Agent(name="Other", instructions="You are Other.")

    async def consult() -> Any:
        return (await alone.get_response("a question")).final_output

    return consulting(consult)


def runner() -> Agency:
    async def consult() -> Any:
        return (await Runner.run(other(), "a question")).final_output

    return consulting(consult)


def runner_streamed() -> Agency:
    async def consult() -> Any:
        streamed = Runner.run_streamed(other(), "a question")
        async for _ in streamed.stream_events():
            pass
        return streamed.final_output

    return consulting(consult)


def runner_sync() -> Agency:
    return consulting(on_a_loop_of_its_own)


def on_a_loop_of_its_own() -> Any:
    """The SDK leaves the loop open that it makes for a thread; here one is given to it, and closed."""
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    try:
        return Runner.run_sync(other(), "a question").final_output
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def runner_in_a_pool() -> Agency:
    def consult() -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(on_a_loop_of_its_own).result()

    return consulting(consult)


def runner_in_an_executor() -> Agency:
    async def consult() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, on_a_loop_of_its_own)

    return consulting(consult)


def model_of_the_run() -> Agency:
    """The run names the model, and not the agent."""

    async def consult() -> Any:
        return (await Runner.run(other(), "a question", run_config=RunConfig(model="gpt-4.1"))).final_output

    return consulting(consult)


def instructions() -> Agency:
    async def told(context: Any, agent: Any) -> str:
        return f"You are Boss. {len(str((await Runner.run(other(), 'a question')).final_output))}"

    agency = boss()
    agency.agents["Boss"].instructions = told  # the framework's constructor takes none
    return agency


def hook() -> Agency:
    class Asks(AgentHooks[Any]):
        async def on_start(self, context: Any, agent: Any) -> None:
            await Runner.run(other(), "a question")

    return boss(hooks=Asks())


def hook_after() -> Agency:
    class Asks(AgentHooks[Any]):
        async def on_end(self, context: Any, agent: Any, output: Any) -> None:
            await Runner.run(other(), "a question")

    return boss(hooks=Asks())


def handoff_to_a_stranger() -> Agency:
    """Other speaks to the user then."""
    return boss(handoffs=[other()])


QUESTION = {"model": "gpt-5", "instructions": "You are Other.", "input": "a question"}


def client() -> Agency:
    def consult() -> Any:
        with OpenAI() as made:
            return made.responses.create(**QUESTION).output_text  # type: ignore[call-overload]

    return consulting(consult)


def client_at_the_top() -> Agency:
    made = AsyncOpenAI()

    async def consult() -> Any:
        async with made:
            return (await made.responses.create(**QUESTION)).output_text  # type: ignore[call-overload]

    return consulting(consult)


def own_model() -> Agency:
    """A Model that the agency's code has made itself stays what it is."""
    made = AsyncOpenAI()

    async def consult() -> Any:
        async with made:
            model = OpenAIResponsesModel("gpt-5", made)
            return (await Runner.run(other(model=model), "a question")).final_output

    return consulting(consult)


def own_provider() -> Agency:
    async def consult() -> Any:
        async with AsyncOpenAI() as made:
            config = RunConfig(model_provider=MultiProvider(openai_client=made))
            return (await Runner.run(other(model="gpt-5"), "a question", run_config=config)).final_output

    return consulting(consult)


SDK = (
    *(colleague, judge_of_input, judge_of_output, as_tool, swarm_agent_as_tool),
    *(nested_agency, nested_agency_at_the_top, nested_agency_streamed, nested_agency_sync, agent_alone),
    *(runner, runner_streamed, runner_sync, runner_in_a_pool, model_of_the_run),
    runner_in_an_executor,
    *(instructions, hook, hook_after),
)
OWN = (own_model, own_provider)  # counted as the others, but they ask with their own client
CLIENTS = (client, client_at_the_top)  # not the SDK's: they find the key, and nobody counts them
