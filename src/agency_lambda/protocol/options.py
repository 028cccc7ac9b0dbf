"""Objects in a request that few clients send; imported when one does."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(_Options):
    """include_obfuscation: deltas have an `obfuscation` field, so that their sizes tell less of their texts."""

    include_obfuscation: bool | None = None


class PromptCacheOptions(_Options):
    """Options of OpenAI's prompt cache, for newer models."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_default(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("prewarm") is False:
            return {name: each for name, each in value.items() if name != "prewarm"}
        return value
