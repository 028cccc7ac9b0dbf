"""The `reasoning` of a request, with newer values than the pinned openai package has."""

from typing import Any, Literal

from openai.types import shared
from pydantic import model_validator

from agency_lambda.errors import UnsupportedParameter

_FIELDS = frozenset({"effort", "summary", "generate_summary", "context"})


class Reasoning(shared.Reasoning):
    """How much a model reasons, and whether summaries of that are shown. Which efforts it takes is the model's."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, value: Any) -> Any:
        # The base class accepts unknown fields, and a newer one knows others.
        for name in value if isinstance(value, dict) else ():
            if name not in _FIELDS:
                field = f"reasoning.{name}"
                raise UnsupportedParameter(f"Unsupported parameter: {field!r}.", param=field)
        return value

    @property
    def asks_for_summary(self) -> bool:
        return (self.summary or self.generate_summary) is not None
