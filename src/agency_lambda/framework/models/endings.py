"""How a model's answer ended, as the servers' various fields and words say it."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

Reason = Literal["max_output_tokens", "content_filter"]
_FILTERS = ("filter", "safety", "recitation", "prohibited", "blocklist", "spii")
_LENGTHS = ("length", "max_tokens", "max_output_tokens")


@dataclass
class Ending:
    """incomplete: why the answer was broken off. failed: the provider's error code.

    Of Chat Completions: finished: a `finish_reason` was "stop". ended: any `finish_reason`, or `[DONE]`, has come.
    """

    incomplete: Reason | None = None
    failed: str | None = None
    finished: bool = False
    ended: bool = False

    def note_response(self, response: Any) -> None:
        status = getattr(response, "status", None) or "completed"
        if status == "incomplete":
            self.incomplete = _reason(getattr(response.incomplete_details, "reason", None))
        elif status != "completed":
            self.failed = str(getattr(response.error, "code", None) or status)

    def note_choices(self, choices: Any) -> None:
        # The SDK uses the first choice alone.
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
    return "content_filter" if _is_filter(str(word).lower()) else "max_output_tokens"


def _is_filter(word: str) -> bool:
    return any(part in word for part in _FILTERS)
