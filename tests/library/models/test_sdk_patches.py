"""What is changed in foreign code was written for these versions; a new one is to be read first."""

import ast
import asyncio
import inspect
import textwrap
from types import SimpleNamespace
from typing import Any

import pytest
from agency_swarm.agent import execution
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel, RunConfig
from openai.types.responses import Response

from agency_lambda.framework import patches
from agency_lambda.framework.models.ending_listener import listen
from agency_lambda.framework.models.endings import Ending, current_ending

patches.install()


@pytest.mark.parametrize("model", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
def test_models_still_fetch_and_drop_how_an_answer_ended(model: Any) -> None:
    source = textwrap.dedent(inspect.getsource(model.get_response))
    assert "await self._fetch_response(" in source
    assert "response.status" not in source
    calls = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call)]
    (answer,) = [call for call in calls if ast.unparse(call.func) == "ModelResponse"]
    assert {keyword.arg for keyword in answer.keywords}.isdisjoint({"finish_reason", "status"})


def test_framework_still_makes_a_config_where_it_is_given_none() -> None:
    assert inspect.getsource(execution).count("or RunConfig(workflow_name=agency_name, trace_id=run_trace_id)") == 2
    assert execution.RunConfig().tool_not_found_behavior == "return_error_to_model"
    assert RunConfig().tool_not_found_behavior == "raise_error"


@pytest.mark.parametrize(
    ("answer", "incomplete", "failed"),
    [
        ({"status": "completed"}, None, None),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens", None),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter", None),
        ({"status": "incomplete", "incomplete_details": None}, "max_output_tokens", None),
        ({"status": "failed", "error": {"code": "server_error", "message": ""}}, None, "server_error"),
        ({"status": "failed", "error": None}, None, "failed"),
        ({"status": "cancelled", "error": None}, None, "cancelled"),
    ],
)
def test_ending_of_a_response(answer: Any, incomplete: Any, failed: Any) -> None:
    noted = Ending()
    noted.note_response(Response.construct(**answer))
    assert (noted.incomplete, noted.failed) == (incomplete, failed)


@pytest.mark.parametrize(
    ("finished", "incomplete"),
    [
        *(("stop", None), ("tool_calls", None), ("function_call", None), (None, None), ("eos", None)),
        *(("length", "max_output_tokens"), ("MAX_TOKENS", "max_output_tokens"), ("model_length", "max_output_tokens")),
        *(("content_filter", "content_filter"), ("SAFETY", "content_filter")),
    ],
)
def test_ending_of_a_chat(finished: Any, incomplete: Any) -> None:
    noted = Ending()
    noted.note_choices(
        [SimpleNamespace(index=0, finish_reason=finished), SimpleNamespace(index=1, finish_reason="length")]
    )
    assert noted.incomplete == incomplete


def test_class_is_listened_to_once_and_only_where_somebody_wants_to_know() -> None:
    class Model:
        async def _fetch_response(self) -> Any:
            return SimpleNamespace(choices=[SimpleNamespace(index=0, finish_reason="length")])

    model: Any = Model()
    listen(Model)
    listening = vars(Model)["_fetch_response"]
    listen(Model)
    assert vars(Model)["_fetch_response"] is listening
    noted = Ending()

    async def both() -> None:
        await model._fetch_response()
        assert noted.incomplete is None
        current_ending.set(noted)
        await model._fetch_response()

    asyncio.run(both())
    assert noted.incomplete == "max_output_tokens"
