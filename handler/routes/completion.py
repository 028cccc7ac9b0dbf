"""POST /completion: a message in, the agency's answer out."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

router = APIRouter()


def _speakable(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has half of a surrogate pair, which is no character") from None
    return text


Text = Annotated[str, AfterValidator(_speakable)]
ThreadId = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9_.:-]{1,128}\z")]


class Completion(BaseModel):
    """What to ask. Without `agency` the first one listed is asked, without `agent` its entry point."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Text = Field(examples=["Client Weber GmbH asks about next week's installation plan."])
    agency: Text | None = None
    agent: Text | None = None
    thread_id: ThreadId | None = Field(None, description="continues (or starts) a conversation under this name")


class Usage(BaseModel):
    """Of every model call of every agent."""

    model_calls: int
    input_tokens: int
    output_tokens: int
    total_tokens: int


class CompletionAnswer(BaseModel):
    """`agent` is the one that gave the final answer; `thread_id` continues the conversation."""

    response: str
    run_id: str
    thread_id: str
    agency: str
    agent: str
    usage: Usage


@router.post("/completion", response_model=CompletionAnswer)
async def completion(body: Completion, request: Request) -> object:
    """Run the agency once and answer when it is done."""
    return await request.app.state.runs().complete(body.message, body.agency, body.agent, body.thread_id)
