"""What is changed in foreign code was written for these versions; a new one is to be read first."""

import asyncio
import inspect
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from agency_swarm.agent import execution
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel, RunConfig
from openai.types.responses import Response

from handler.models.sdk_patches import Ending, ending, listen


def test_versions_are_those_that_were_read() -> None:
    assert version("openai-agents") == "0.18.1"
    assert version("agency-swarm") == "1.11.0"


@pytest.mark.parametrize("model", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
def test_models_still_fetch_and_drop_how_an_answer_ended(model: Any) -> None:
    source = inspect.getsource(model.get_response)
    assert "await self._fetch_response(" in source
    assert "finish_reason=" not in source
    assert "response.status" not in source


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
    listen(model)
    listening = vars(Model)["_fetch_response"]
    listen(model)
    assert vars(Model)["_fetch_response"] is listening
    noted = Ending()

    async def both() -> None:
        await model._fetch_response()
        assert noted.incomplete is None
        ending.set(noted)
        await model._fetch_response()

    asyncio.run(both())
    assert noted.incomplete == "max_output_tokens"
