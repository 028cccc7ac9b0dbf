"""How a provider says that an answer ended: `get_response` of the SDK drops that."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

Reason = Literal["max_output_tokens", "content_filter"]
_FILTERS = ("filter", "safety", "recitation", "prohibited", "blocklist", "spii")
_LENGTHS = ("length", "max_tokens", "max_output_tokens")


@dataclass
class Ending:
    """incomplete: why the answer was broken off. failed: the provider's code for a failure.

    finished: a chat's model had no more to say. ended: a chat's stream has a `finish_reason`, or its `[DONE]`.
    """

    incomplete: Reason | None = None
    failed: str | None = None
    finished: bool = False
    ended: bool = False

    def note_response(self, response: Any) -> None:
        """Read a response of the Responses API."""
        status = getattr(response, "status", None) or "completed"
        if status == "incomplete":
            self.incomplete = _reason(getattr(response.incomplete_details, "reason", None))
        elif status != "completed":
            self.failed = str(getattr(response.error, "code", None) or status)

    def note_choices(self, choices: Any) -> None:
        """Read the choices of a chat completion, or of a chunk of one. The SDK uses the first alone."""
        for choice in choices or ():
            finished = "" if getattr(choice, "index", 0) else str(getattr(choice, "finish_reason", None)).lower()
            if finished.endswith(_LENGTHS) or _is_filter(finished):
                self.incomplete = _reason(finished)
            self.finished = self.finished or finished == "stop"
            self.ended = self.ended or finished not in ("", "none")
            if finished == "error":
                self.failed = self.failed or finished


current_ending: ContextVar[Ending | None] = ContextVar("current_ending", default=None)
"""The ending of the answer that is being made in this context."""


def _reason(word: object) -> Reason:
    """Return a provider's reason in OpenAI's words."""
    return "content_filter" if _is_filter(str(word).lower()) else "max_output_tokens"


def _is_filter(word: str) -> bool:
    return any(part in word for part in _FILTERS)
