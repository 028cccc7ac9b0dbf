"""Record in `current_ending` how each answer of the SDK's models ended."""

from collections.abc import AsyncIterator
from functools import wraps
from traceback import walk_tb
from typing import Any

from agents import Model, ModelBehaviorError
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import OpenAIResponsesModel
from httpx import RemoteProtocolError

from agency_lambda.framework.models.endings import Ending, current_ending


def install() -> None:
    """Listen to the SDK's OpenAI models."""
    for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
        listen(kind)


def listen(model: type[Model]) -> None:
    """Have a model's class, and those that it is derived from, note the ending of each answer."""
    for kind in model.__mro__:
        fetch = vars(kind).get("_fetch_response")
        if fetch is not None and not hasattr(fetch, "notes_ending"):
            kind._fetch_response = _noting(fetch)  # type: ignore[attr-defined]


def _noting(fetch: Any) -> Any:
    @wraps(fetch)
    async def noting(*args: Any, **kwargs: Any) -> Any:
        try:
            fetched = await fetch(*args, **kwargs)
        except ModelBehaviorError as error:
            if (fetched := _refused_response(error)) is None:
                raise
        ending = current_ending.get()
        if ending is None:
            return fetched
        if isinstance(fetched, tuple):  # a chat's answer, streamed
            response, chunks = fetched
            return response, _Chunks(chunks, ending)
        if hasattr(fetched, "choices"):
            ending.note_choices(fetched.choices)
        elif hasattr(fetched, "status"):
            ending.note_response(fetched)
        return fetched

    noting.notes_ending = True  # type: ignore[attr-defined]
    return noting


def _refused_response(error: ModelBehaviorError) -> Any:
    # openai-agents 0.24 raises for an answer that was broken off, which 0.18 returned.
    for frame, _ in walk_tb(error.__traceback__):
        response = frame.f_locals.get("response")
        if frame.f_code.co_name == "_fetch_response" and getattr(response, "status", None) == "incomplete":
            return response
    return None


class _Chunks:
    # The SDK takes any end of a connection for the end of a chat's answer.
    def __init__(self, chunks: Any, ending: Ending) -> None:
        self._chunks, self._ending = chunks, ending
        self._lines = getattr(chunks, "_iter_events", None)  # openai's; streams of others have an end of their own
        if self._lines:
            chunks._iter_events = self._noting_done

    def __getattr__(self, name: str) -> Any:  # close(), response ...
        return getattr(self._chunks, name)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._chunks:
            self._ending.note_choices(chunk.choices)
            yield chunk
        if self._lines and not self._ending.ended:
            raise RemoteProtocolError("The stream of a chat ended without finish_reason and without [DONE].")

    async def _noting_done(self) -> AsyncIterator[Any]:
        async for line in self._lines():  # type: ignore[misc]
            self._ending.ended = self._ending.ended or line.data.startswith("[DONE]")
            yield line
