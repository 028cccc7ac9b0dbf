"""What is changed in foreign code was written for these versions; a new one is to be read first."""

import ast
import asyncio
import inspect
import json
import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from agency_swarm.agent import execution
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel, RunConfig
from openai import _utils, not_given, omit
from openai._utils import _transform
from openai.resources.responses import responses
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from openai.types.shared import Reasoning

from agency_lambda.framework import patches
from agency_lambda.framework.models.ending_listener import listen
from agency_lambda.framework.models.endings import Ending, current_ending

patches.install()


BODIES: list[tuple[Any, dict[str, Any]]] = [
    (
        ResponseCreateParamsNonStreaming,
        {
            "model": "m",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": ({"type": "input_text", "text": "b"},)},
                {"type": "reasoning", "summary": [], "encrypted_content": None, "id": "rs"},
            ],
            "reasoning": Reasoning(effort="low"),
            "tools": [{"type": "function", "name": "n", "parameters": {"type": "object"}, "strict": True}],
            "temperature": 0.5,
            "store": False,
            "top_p": omit,
            "user": not_given,
            "include": ["reasoning.encrypted_content"],
            "metadata": {"a": "b"},
            "stream": None,
        },
    ),
    (
        CompletionCreateParamsNonStreaming,
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "n"}}]},
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x"}]},
            ],
            "stop": omit,
            "extra": {"x": 1},
        },
    ),
]


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_body_of_a_request_is_what_openai_would_make_of_it(kind: Any, body: dict[str, Any]) -> None:
    made = asyncio.run(_transform.async_maybe_transform(body, kind))
    assert json.dumps(asyncio.run(_utils.async_maybe_transform(body, kind))) == json.dumps(made)


def test_no_type_of_a_request_has_keys_to_rename_or_dates_to_format() -> None:
    folders = [Path(str(openai.__file__)).parent / "types" / name for name in ("responses", "chat", "shared_params")]
    types = [path for folder in folders for path in folder.glob("*param*.py")]
    assert len(types) > 100
    infos = re.findall(r"PropertyInfo\((.*?)\)", " ".join(path.read_text() for path in types))
    assert [info for info in infos if not info.startswith("discriminator=")] == []


def test_body_of_many_items_does_not_hold_the_loop() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}] * 2_000
    body = {"model": "m", "input": items}

    def cpu(call: Callable[[], Any]) -> float:
        began = time.process_time()
        call()
        return time.process_time() - began

    encoding = min(cpu(lambda: json.dumps(body)) for _ in range(3))
    params = ResponseCreateParamsNonStreaming
    took = min(cpu(lambda: asyncio.run(responses.async_maybe_transform(body, params))) for _ in range(3))
    assert took < 20 * encoding  # openai's own takes 200 times as long


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
