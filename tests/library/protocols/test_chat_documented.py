"""docs/chat-completions.md says what becomes of every parameter, and it is so."""

import re
from typing import Any, get_type_hints

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from agency_lambda.protocol.chat.request import FIXED, READ_OVER, REFUSED, CreateChatCompletion
from tests.library.conftest import Service
from tests.library.paths import ROOT
from tests.library.protocols.chat import ASK, send

ROWS = re.findall(r"^\| (`.+?) \| (.+) \|$", (ROOT / "docs" / "chat-completions.md").read_text(), re.MULTILINE)
SAID = {name: text for names, text in ROWS for name in re.findall(r"`(\w+)`", names)}
#: of openai 3.57, which the pinned one does not have
NEWER = {"prompt_cache_options"}
VALUES: dict[str, Any] = {
    "audio": {"voice": "a", "format": "mp3"},
    "function_call": "auto",
    "moderation": {"model": "m"},
    "prediction": {"type": "content", "content": "x"},
    "web_search_options": {},
    "n": 3,
    "logprobs": True,
    "top_logprobs": 1,
    "logit_bias": {"1": 1},
    "presence_penalty": 1,
    "frequency_penalty": 1,
    "modalities": ["audio"],
    "functions": [{"name": "f"}],
}


def test_every_parameter_of_openai_and_of_ours_is_in_the_table() -> None:
    known = {*get_type_hints(CompletionCreateParamsStreaming)} | NEWER
    assert known | CreateChatCompletion.model_fields.keys() <= SAID.keys()


def test_each_row_says_what_the_code_does() -> None:
    assert {name for name, text in SAID.items() if text == "refused"} == {*REFUSED}
    assert {name for name, text in SAID.items() if text.startswith("their default only")} == {*FIXED}
    assert {name for name, text in SAID.items() if text.startswith("changes nothing")} == {*READ_OVER}


@pytest.mark.parametrize("name", [*REFUSED, *FIXED])
def test_what_is_refused_is_refused_by_its_name(service: Service, name: str) -> None:
    status, answer, _ = send(service, {**ASK, name: VALUES[name]})
    assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, name, "unsupported_parameter")
    default = FIXED.get(name, (None,))[0]
    assert send(service, {**ASK, name: default})[0] == 200
    assert send(service, {**ASK, name: None})[0] == 200


def test_codes_of_the_page_are_those_of_the_tree() -> None:
    from agency_lambda.errors import RunUnanswered

    assert {each.kind for each in RunUnanswered.__subclasses__()} <= SAID.keys()
