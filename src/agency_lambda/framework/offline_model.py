"""A model of the SDK without a provider."""

import json
from collections.abc import AsyncIterator
from typing import Any

from agents import (
    AgentOutputSchema,
    AgentOutputSchemaBase,
    FunctionTool,
    Handoff,
    Model,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    Tool,
    TResponseInputItem,
    Usage,
)
from openai.types.responses import Response, ResponseOutputItem, ResponseStreamEvent

from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.models import events
from agency_lambda.offline.generic import structured, thought
from agency_lambda.offline.plan import Plan, Script, decide
from agency_lambda.offline.turn import Turn, read_turn, without_client


class OfflineModel(Model):
    """Answers for one agent. Texts and arguments are deterministic; ids are random."""

    model = "offline"  # the framework reads a model's name here
    is_offline = True

    def __init__(self, agent: str, script: Script | None = None) -> None:
        self.agent = agent
        self.script = script

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        **server_state: Any,
    ) -> ModelResponse:
        answer = self._answer(system_instructions, input, model_settings, tools, output_schema, handoffs)
        assert answer.usage
        usage = Usage(
            requests=1,
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            total_tokens=answer.usage.total_tokens,
        )
        return ModelResponse(output=answer.output, usage=usage, response_id=answer.id)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        **server_state: Any,
    ) -> AsyncIterator[ResponseStreamEvent]:
        answer = self._answer(system_instructions, input, model_settings, tools, output_schema, handoffs)
        for event in events.stream_events(answer):
            yield event

    def _answer(
        self,
        instructions: str | None,
        items: str | list[TResponseInputItem],
        settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
    ) -> Response:
        plan, turn = self._plan(items, settings, tools, output_schema, handoffs)
        short = events.within(plan, settings.max_tokens) if isinstance(plan, str) and settings.max_tokens else plan
        output = output_items(short, complete=short == plan)
        if _wants_summary(settings):
            output.insert(0, events.reasoning_item(thought(self.agent, turn, [] if isinstance(plan, str) else plan)))
        read = len(instructions or "") + len(json.dumps(items, default=str))
        return events.response(self.model, output, read, written=len(str(short)))

    def _plan(
        self,
        items: str | list[TResponseInputItem],
        settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
    ) -> tuple[Plan, Turn]:
        functions = [tool for tool in tools if isinstance(tool, FunctionTool)]
        own = {tool.name: tool.params_json_schema for tool in functions if not isinstance(tool, ClientTool)}
        declared = {tool.name: tool.params_json_schema for tool in functions if isinstance(tool, ClientTool)}
        hosted = [tool.name for tool in tools if not isinstance(tool, FunctionTool)]
        plain = output_schema is None or output_schema.is_plain_text()
        own_schema = isinstance(output_schema, AgentOutputSchema)  # else it is the client's, and no script knows of it
        turn = without_client(read_turn(items, own), declared)
        plan = decide(
            self.agent,
            turn,
            self.script,
            output_schema=output_schema.json_schema() if output_schema and own_schema and not plain else None,
            unused=(*hosted, *(handoff.tool_name for handoff in handoffs)),
            tool_choice=settings.tool_choice if isinstance(settings.tool_choice, str) else None,
            parallel=settings.parallel_tool_calls is not False,
        )
        if isinstance(plan, str) and output_schema and not plain and not own_schema:
            plan = structured(turn, output_schema.json_schema(), trusted=False)
        return plan, turn


def output_items(plan: Plan, complete: bool = True) -> list[ResponseOutputItem]:
    if isinstance(plan, str):
        return [events.message_item(plan, complete)]
    return [events.call_item(tool, json.dumps(arguments, ensure_ascii=False)) for tool, arguments in plan]


def _wants_summary(settings: ModelSettings) -> bool:
    reasoning = settings.reasoning
    return reasoning is not None and (reasoning.summary or reasoning.generate_summary) is not None
