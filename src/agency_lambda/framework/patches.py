"""What is changed in the Agents SDK 0.18.1, Agency Swarm 1.11.0 and openai 2.44.0.

tests/library/models/test_sdk_patches.py notices other versions.

`_fetch_response` of a model's class notes how its answer ended: `get_response` drops the status of a whole answer, and
chat its `finish_reason`.
`agency_swarm.agent.execution.RunConfig` has another default: a model that calls a tool which is not there is told so,
where it would end the run. The framework passes no config of the caller's to colleagues.
`run_with_guardrails` and `perform_single_run` run an agent: what it has done is stored, too, where an exception ends
that.
`openai._utils.async_maybe_transform` compares each value of a request's body with its type, to rename keys and format
dates; the types of responses and chats have neither to do. For 2,000 items it held the loop for a second.
"""

import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal

from agency_swarm.agent import execution, execution_helpers
from agents import Model, RunConfig
from httpx import RemoteProtocolError
from openai import _utils
from openai._utils import is_given
from pydantic import BaseModel

from agency_lambda.framework.unsaved_items import noting_execution, storing_unsaved

Reason = Literal["max_output_tokens", "content_filter"]
_FILTERS = ("filter", "safety", "recitation", "prohibited", "blocklist", "spii")
_PLAIN_TYPES = ("openai.types.responses.response_create_params", "openai.types.chat.completion_create_params")
_LENGTHS = ("length", "max_tokens", "max_output_tokens")


@dataclass
class Ending:
    """How a provider says that an answer ended.

    incomplete: why it was broken off. failed: its code for a failure. finished: a chat's model had no more to say.
    ended: a chat's stream has a `finish_reason`, or its `[DONE]`.
    """

    incomplete: Reason | None = None
    failed: str | None = None
    finished: bool = False
    ended: bool = False

    def note_response(self, response: Any) -> None:
        """Take it from a response of the Responses API."""
        status = getattr(response, "status", None) or "completed"
        if status == "incomplete":
            self.incomplete = _reason(getattr(response.incomplete_details, "reason", None))
        elif status != "completed":
            self.failed = str(getattr(response.error, "code", None) or status)

    def note_choices(self, choices: Any) -> None:
        """Take it from a chat completion, or from a chunk of one."""
        for choice in choices or ():  # the SDK uses the first alone
            finished = "" if getattr(choice, "index", 0) else str(getattr(choice, "finish_reason", None)).lower()
            if finished.endswith(_LENGTHS) or _is_filter(finished):
                self.incomplete = _reason(finished)
            self.finished = self.finished or finished == "stop"
            self.ended = self.ended or finished not in ("", "none")
            if finished == "error":
                self.failed = self.failed or finished


ending: ContextVar[Ending | None] = ContextVar("ending", default=None)
"""The answer that is being made in this context."""


def _reason(said: object) -> Reason:
    """Return a provider's word for it in OpenAI's."""
    return "content_filter" if _is_filter(str(said).lower()) else "max_output_tokens"


def _is_filter(word: str) -> bool:
    return any(part in word for part in _FILTERS)


def listen(model: Model) -> None:
    """Have the class of a model note in `ending` how each of its answers ended, if it is one of the SDK's."""
    for kind in type(model).__mro__:
        fetch = vars(kind).get("_fetch_response")
        if fetch is not None and not hasattr(fetch, "noting"):
            kind._fetch_response = _noting(fetch)  # type: ignore[attr-defined]


def _noting(fetch: Any) -> Any:
    @wraps(fetch)
    async def noting(*args: Any, **kwargs: Any) -> Any:
        fetched = await fetch(*args, **kwargs)
        noted = ending.get()
        if noted is None:
            return fetched
        if isinstance(fetched, tuple):  # a chat's answer, streamed
            response, chunks = fetched
            return response, _Chunks(chunks, noted)
        if hasattr(fetched, "choices"):
            noted.note_choices(fetched.choices)
        elif hasattr(fetched, "status"):
            noted.note_response(fetched)
        return fetched

    noting.noting = True  # type: ignore[attr-defined]
    return noting


class _Chunks:
    """The chunks of a chat's answer, on their way to the SDK, which takes any end of a connection for the answer's."""

    def __init__(self, chunks: Any, noted: Ending) -> None:
        self._chunks, self._noted = chunks, noted
        self._lines = getattr(chunks, "_iter_events", None)  # openai's; streams of others have an end of their own
        if self._lines:
            chunks._iter_events = self._noting_done

    def __getattr__(self, name: str) -> Any:  # close(), response ...
        return getattr(self._chunks, name)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._chunks:
            self._noted.note_choices(chunk.choices)
            yield chunk
        if self._lines and not self._noted.ended:
            raise RemoteProtocolError("The stream of a chat ended without finish_reason and without [DONE].")

    async def _noting_done(self) -> AsyncIterator[Any]:
        async for line in self._lines():  # type: ignore[misc]
            self._noted.ended = self._noted.ended or line.data.startswith("[DONE]")
            yield line


def plain_body(value: Any) -> Any:
    """Return a request's body as JSON has it, without what was not given."""
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    if isinstance(value, Mapping):
        return {name: plain_body(each) for name, each in value.items() if is_given(each)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return [plain_body(each) for each in value] if isinstance(value, Iterable) else value


def _transforming(transform: Any) -> Any:
    @wraps(transform)
    async def transformed(data: Any, expected_type: Any) -> Any:
        if getattr(expected_type, "__module__", None) in _PLAIN_TYPES:
            return plain_body(data)
        return await transform(data, expected_type)

    return transformed


def _patch_transform() -> None:
    """For the resources that are imported when they are asked for, and for those that are there already."""
    _utils.async_maybe_transform = _transforming(_utils.async_maybe_transform)
    for name in ("responses.responses", "chat.completions.completions"):
        if module := sys.modules.get(f"openai.resources.{name}"):
            vars(module)["async_maybe_transform"] = _utils.async_maybe_transform


_patch_transform()
execution.RunConfig = partial(RunConfig, tool_not_found_behavior="return_error_to_model")
vars(execution)["run_with_guardrails"] = noting_execution(execution_helpers.run_with_guardrails)
vars(execution_helpers)["perform_single_run"] = storing_unsaved(execution_helpers.perform_single_run)
