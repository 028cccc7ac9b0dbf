"""What programs send that people already have, as it was seen on the wire or is in their sources: all is answered."""

from typing import Any

import pytest

from tests.library.conftest import Service
from tests.library.protocols.chat import ASK, complete, stream

USER = {"role": "user", "content": "Greet me."}
SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "search_notes", "arguments": "{}"}}
SEARCH = {"name": "search_notes", "description": "Search.", "parameters": {"properties": {}, "type": "object"}}
TOOLS = [{"type": "function", "function": SEARCH}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
BODIES: dict[str, dict[str, Any]] = {
    "Open WebUI, a title": {"messages": [USER], "stream": False, "max_tokens": 1000},
    "Open WebUI, its own tools": {"messages": [SYSTEM, USER], "stream": True, "tools": TOOLS},
    "Open WebUI, after its own tools": {
        "messages": [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "[]"},
        ],
        "stream": True,
        "tools": TOOLS,
    },
    "Open WebUI, after an answer that was stopped": {
        "messages": [USER, {"role": "assistant", "content": "Hel"}, USER],
        "stream": True,
        "include_reasoning": True,
    },
    "Open WebUI, an answer that goes on": {"messages": [USER, {"role": "assistant", "content": "Hel"}], "stream": True},
    "Open WebUI, an image": {"messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, IMAGE]}]},
    "NextChat, LobeChat": {
        "messages": [SYSTEM, USER],
        "stream": True,
        "temperature": 0.5,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_p": 1,
        "stream_options": {"include_usage": True},
    },
    "LibreChat": {"messages": [USER], "stream": True, "user": "65f0", "stop": [], "stream_options": None},
    "Zed": {
        "messages": [SYSTEM, USER],
        "stream": True,
        "stop": [],
        "temperature": 1.0,
        "max_completion_tokens": 4096,
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "prompt_cache_key": "thread",
    },
    "Cline": {
        "messages": [SYSTEM, {"role": "user", "content": [{"type": "text", "text": "Greet me."}]}],
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "aider": {
        "messages": [SYSTEM, USER, {"role": "assistant", "content": "Ok."}, USER],
        "temperature": 0,
        "stream": True,
    },
    "smolagents": {
        "messages": [USER],
        "stop": ["Observation:", "Calling tools:"],
        "tool_choice": "required",
        "tools": TOOLS,
    },
    "lm-eval": {"messages": [USER], "max_tokens": 256, "temperature": 0, "stop": ["\n\n"], "seed": 1234},
    "AutoGen": {"messages": [SYSTEM, {**USER, "name": "ann"}], "stream": False, "tools": TOOLS},
    "DeepSeek's clients": {
        "messages": [USER],
        "thinking": {"type": "enabled"},
        "logprobs": False,
        "top_logprobs": None,
    },
    "Agents SDK": {
        "messages": [USER],
        "store": True,
        "metadata": {"a": "b"},
        "verbosity": "low",
        "service_tier": "auto",
    },
    "a message that was dumped": {
        "messages": [
            USER,
            {
                **{"role": "assistant", "content": "Hi.", "refusal": None, "annotations": [], "audio": None},
                **{"function_call": None, "tool_calls": None, "reasoning_content": None, "images": None},
            },
            USER,
        ],
    },
}


@pytest.mark.parametrize("name", BODIES)
def test_what_clients_send_is_answered(service: Service, name: str) -> None:
    body = {**ASK, **BODIES[name]}
    if body.pop("stream", False):
        assert "error" not in stream(service, **body)[-1]
    else:
        assert complete(service, **body)["choices"][0]["message"]
