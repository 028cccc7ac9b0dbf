from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from agency_lambda.protocol.lazy_types import LazyType
from agency_lambda.protocol.request import Body, ConversationReference, CreateResponse, Text

if TYPE_CHECKING:
    from openai.types.responses import ResponseTextConfig

    from agency_lambda.protocol.reasoning import Reasoning
    from agency_lambda.protocol.request import ToolChoice
else:
    Reasoning = Annotated[Any, LazyType("agency_lambda.protocol.reasoning", "Reasoning")]
    ResponseTextConfig = Annotated[Any, LazyType("openai.types.responses", "ResponseTextConfig")]
    ToolChoice = Annotated[Any, LazyType("agency_lambda.protocol.tool_choice", "ToolChoice")]

_NOTHING = "-"  # in place of an input, which a response needs


class CountInputTokens(Body):
    """The body of POST /v1/responses/input_tokens."""

    model: Text = Field(examples=["desk", "desk/Clerk"])
    input: str | list[Any] | None = Field(default=None, examples=["Which appointments are free next week?"])
    instructions: str | None = None
    conversation: Text | ConversationReference | None = None
    previous_response_id: Text | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: ResponseTextConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None

    def as_request(self) -> CreateResponse:
        """Return the request of a response. Raises as its validation does."""
        body = self.model_dump(mode="json", exclude_unset=True, by_alias=True)
        return CreateResponse.model_validate({**body, "input": body.get("input") or _NOTHING})
