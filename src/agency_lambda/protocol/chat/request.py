"""The body of POST /v1/chat/completions. An unsupported parameter is refused, never ignored, but for READ_OVER."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agency_lambda.errors import UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.request import Body, Metadata, Text

#: Parameters with fixed values, the first of which is the default.
FIXED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
    "functions": ([],),
}
#: Parameters of OpenAI's API that agencies have no use for, whatever they say.
REFUSED = ("audio", "function_call", "moderation", "prediction", "web_search_options")
#: Parameters that are accepted and change nothing: evaluation tools always send `seed`, which promises nothing.
READ_OVER = ("seed",)

_Stop = Annotated[str, StringConstraints(min_length=1, max_length=bounds.NAME)]


class ChatStreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Thinking(BaseModel):
    """As clients of DeepSeek ask for `reasoning_content`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["enabled", "disabled"]


class CreateChatCompletion(Body):
    """The parameters of OpenAI's Chat Completions API that agencies support."""

    # An agency, or "agency/Agent".
    model: Text = Field(examples=["desk", "desk/Clerk"])
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)] = Field(
        examples=[[{"role": "user", "content": "Which appointments are free next week?"}]]
    )
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: _Stop | Annotated[list[_Stop], Field(max_length=4)] | None = None
    seed: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | None = Field(default=None, description="`effort` and `summary`, as in /v1/responses")
    include_reasoning: bool | None = Field(default=None, description="show what the agents do as `reasoning_content`")
    thinking: Thinking | None = Field(default=None, description="likewise")
    verbosity: str | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        body = without_nulls(body)
        for name in REFUSED:
            if name in body:
                raise UnsupportedParameter(f"Unsupported parameter: {name!r}.", param=name)
        for name, allowed in FIXED.items():
            if name in body and body[name] not in allowed:
                message = f"{name!r} is not supported, other than {json.dumps(allowed[0])}."
                raise UnsupportedParameter(message, param=name)
        body = {name: value for name, value in body.items() if name not in FIXED}
        if isinstance(body.get("messages"), list) and len(body["messages"]) > bounds.ITEMS:
            raise bounds.over_limit("messages", "messages", bounds.ITEMS)  # pydantic would check each
        objects = {name: without_nulls(body[name]) for name in ("stream_options", "thinking") if name in body}
        return {**body, **objects}

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def obfuscates(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_obfuscation)

    @property
    def shows_reasoning(self) -> bool:
        """Return whether the answer has `reasoning_content`."""
        if self.include_reasoning is not None:
            return self.include_reasoning
        if self.thinking is not None:
            return self.thinking.type == "enabled"
        asks = self.reasoning_effort or (self.reasoning or {}).get("effort")
        return bool((self.reasoning or {}).get("summary")) or asks not in (None, "none")
