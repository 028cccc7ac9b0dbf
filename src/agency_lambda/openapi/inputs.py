"""What a request may send as `input`, `items` and `tools`. Unknown fields are refused, so these types are closed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agency_lambda.openapi.items import Annotation, Phase, ReasoningText, Status, SummaryText

_OF_ANSWERS = "of our answers, which may be sent back; it is read over"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _SentBack(_Closed):
    id: str | None = Field(default=None, description=_OF_ANSWERS)
    status: Status | None = Field(default=None, description=_OF_ANSWERS)
    agent: str | None = Field(default=None, description=_OF_ANSWERS)
    tool: str | None = Field(default=None, description=_OF_ANSWERS)
    recipient: str | None = Field(default=None, description=_OF_ANSWERS)
    parent: str | None = Field(default=None, description=_OF_ANSWERS)


class TextParam(_Closed):
    type: Literal["input_text"]
    text: str


class ImageParam(_Closed):
    type: Literal["input_image"]
    image_url: str | None = Field(
        default=None, description="a data URL", examples=["data:image/png;base64,iVBORw0KGgo="]
    )
    file_id: str | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None


class FileParam(_Closed):
    type: Literal["input_file"]
    file_data: str | None = Field(default=None, description="a data URL")
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    detail: Literal["low", "high", "auto"] | None = None


class OutputTextParam(_Closed):
    type: Literal["output_text"]
    text: str
    annotations: list[Annotation] | None = None
    logprobs: list[Any] | None = None


class RefusalParam(_Closed):
    type: Literal["refusal"]
    refusal: str


type InputPartParam = Annotated[TextParam | ImageParam | FileParam, Field(discriminator="type")]
type PartParam = Annotated[
    TextParam | ImageParam | FileParam | OutputTextParam | RefusalParam, Field(discriminator="type")
]


class MessageParam(_SentBack):
    type: Literal["message"] | None = None
    role: Literal["user", "system", "developer"]
    content: str | list[InputPartParam]
    phase: Phase | None = None


class AssistantMessageParam(_SentBack):
    """What an agent has said."""

    type: Literal["message"] | None = None
    role: Literal["assistant"]
    content: str | list[PartParam]
    phase: Phase | None = None


class FunctionCallParam(_SentBack):
    type: Literal["function_call"]
    call_id: str = Field(max_length=256)
    name: str = Field(max_length=256)
    arguments: str = Field(description="JSON")


class FunctionCallOutputParam(_SentBack):
    """What a function of the client's own has returned, for the agent that has called it."""

    type: Literal["function_call_output"]
    call_id: str = Field(max_length=256)
    output: str | list[InputPartParam]


class ReasoningParam(_SentBack):
    type: Literal["reasoning"]
    summary: list[SummaryText] | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class ImageGenerationCallParam(_SentBack):
    type: Literal["image_generation_call"]
    status: Literal["in_progress", "completed", "generating", "failed"] | None = None  # type: ignore[assignment]
    result: str | None = None
    error: dict[str, Any] | None = Field(default=None, description=_OF_ANSWERS)


class CompactionParam(_Closed):
    """The item of POST /v1/responses/compact."""

    id: str | None = Field(default=None, description=_OF_ANSWERS)
    type: Literal["compaction"]
    encrypted_content: str


class ApprovalRequestParam(_SentBack):
    type: Literal["mcp_approval_request"]
    id: str
    server_label: str
    name: str
    arguments: str
    kind: str | None = Field(default=None, description=_OF_ANSWERS)


class ApprovalResponseParam(_Closed):
    """A decision on what an agent has asked: the run that waits goes on."""

    type: Literal["mcp_approval_response"]
    id: str | None = None
    approval_request_id: str
    approve: bool
    reason: str | None = Field(default=None, description="the model gets it if the call is refused")


class ItemReferenceParam(_Closed):
    type: Literal["item_reference"] | None = None
    id: str


type ItemParam = (
    MessageParam
    | AssistantMessageParam
    | FunctionCallParam
    | FunctionCallOutputParam
    | ReasoningParam
    | ImageGenerationCallParam
    | CompactionParam
    | ApprovalRequestParam
)
type InputItemParam = ItemParam | ApprovalResponseParam | ItemReferenceParam
type Input = (
    Annotated[str, Field(min_length=1)] | Annotated[list[InputItemParam], Field(min_length=1, max_length=2_000)]
)
type AddedItems = Annotated[list[ItemParam], Field(min_length=1, max_length=20)]
type FirstItems = Annotated[list[ItemParam], Field(max_length=20)]


class FunctionToolParam(_Closed):
    """A function of the client's own, which it runs when an agent calls it."""

    type: Literal["function"]
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = Field(default=None, description="a JSON Schema")
    strict: bool | None = None


type Tools = Annotated[list[FunctionToolParam], Field(max_length=128)]
