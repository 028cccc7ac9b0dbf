"""The items of responses and conversations, as they are answered."""

from typing import Annotated, Any, Literal

from openai.types.responses.response_output_text import (
    AnnotationContainerFileCitation,
    AnnotationFileCitation,
    AnnotationFilePath,
    AnnotationURLCitation,
)
from pydantic import BaseModel, Field

Status = Literal["in_progress", "completed", "incomplete"]
Phase = Literal["commentary", "final_answer"]
type Annotation = Annotated[
    AnnotationFileCitation | AnnotationURLCitation | AnnotationContainerFileCitation | AnnotationFilePath,
    Field(discriminator="type"),
]


class OutputText(BaseModel):
    type: Literal["output_text"]
    text: str
    annotations: list[Annotation]
    logprobs: list[Any] | None = Field(default=None, description="Always empty: probabilities are not given.")


class Refusal(BaseModel):
    type: Literal["refusal"]
    refusal: str


class InputText(BaseModel):
    type: Literal["input_text"]
    text: str


class InputImage(BaseModel):
    type: Literal["input_image"]
    detail: str
    image_url: str | None = None
    file_id: str | None = None


class InputFile(BaseModel):
    type: Literal["input_file"]
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None


type InputPart = Annotated[InputText | InputImage | InputFile, Field(discriminator="type")]
type OutputPart = Annotated[OutputText | Refusal, Field(discriminator="type")]
type Part = Annotated[OutputText | Refusal | InputText | InputImage | InputFile, Field(discriminator="type")]


class OutputMessage(BaseModel):
    """What the addressed agent says."""

    type: Literal["message"]
    id: str
    role: Literal["assistant"]
    status: Status
    content: list[OutputPart]
    agent: str = Field(description="who speaks")
    phase: Phase | None = None


class Message(BaseModel):
    """A message of a request, or of a conversation."""

    type: Literal["message"]
    id: str
    role: Literal["user", "assistant", "system", "developer"]
    status: Status
    content: list[Part]
    agent: str | None = None
    phase: Phase | None = None


class SummaryText(BaseModel):
    type: Literal["summary_text"]
    text: str


class ReasoningText(BaseModel):
    type: Literal["reasoning_text"]
    text: str


class ReasoningItem(BaseModel):
    """What a model thinks, or with `tool` an activity: what an agent does, without its content."""

    type: Literal["reasoning"]
    id: str
    status: Status
    summary: list[SummaryText]
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    agent: str | None = Field(default=None, description="who acts")
    tool: str | None = Field(default=None, description="what the agent uses")
    recipient: str | None = Field(default=None, description="the colleague that the agent asks")
    parent: str | None = Field(default=None, description="the id of the activity within which it happens")


class FunctionCall(BaseModel):
    """A call of one of the client's own `tools`: run it, and send its output back."""

    type: Literal["function_call"]
    id: str
    status: Status
    call_id: str
    name: str
    arguments: str = Field(description="JSON")


class FunctionCallOutput(BaseModel):
    type: Literal["function_call_output"]
    id: str
    status: Status
    call_id: str
    output: str | list[InputPart]


class ApprovalRequestItem(BaseModel):
    """What an agent asks a person. Answer with an `mcp_approval_response`, or at /v1/approvals."""

    type: Literal["mcp_approval_request"]
    id: str
    status: Status
    server_label: str = Field(description="the agency")
    name: str = Field(description="the tool's")
    arguments: str = Field(description='JSON; "{}" for an owner who may not decide')
    agent: str | None = None
    kind: Literal["tool", "question", "repeat"] | None = None


class ApprovalAnswerItem(BaseModel):
    type: Literal["mcp_approval_response"]
    id: str
    status: Status | None = None
    approval_request_id: str
    approve: bool
    reason: str | None = None


class ImageError(BaseModel):
    type: str
    code: str
    message: str


class ImageGenerationCall(BaseModel):
    type: Literal["image_generation_call"]
    id: str
    status: Literal["in_progress", "completed", "generating", "failed"]
    result: str | None = Field(default=None, description="the image, as base64")
    agent: str | None = None
    error: ImageError | None = None


class Compaction(BaseModel):
    """A long conversation as one item; send it back in its place."""

    type: Literal["compaction"]
    id: str
    encrypted_content: str


type OutputItem = Annotated[
    OutputMessage | ReasoningItem | FunctionCall | ApprovalRequestItem | ImageGenerationCall,
    Field(discriminator="type"),
]
type Item = Annotated[
    Message
    | ReasoningItem
    | FunctionCall
    | FunctionCallOutput
    | ApprovalRequestItem
    | ApprovalAnswerItem
    | ImageGenerationCall
    | Compaction,
    Field(discriminator="type"),
]
