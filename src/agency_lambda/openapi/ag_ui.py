"""What AG-UI sends and gets, as far as generators of clients need it: its own clients have the rest."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class AgUiResumeEntry(BaseModel):
    """The answer to an interrupt."""

    interruptId: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class AgUiRunInput(BaseModel):
    """`RunAgentInput` of AG-UI 1.0 (https://docs.ag-ui.com/spec/1.0/schema)."""

    threadId: str
    runId: str
    protocolVersion: str | None = None
    parentRunId: str | None = None
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    context: list[dict[str, str]] | None = None
    state: Any = None
    forwardedProps: Any = None
    resume: list[AgUiResumeEntry] | None = None


class AgUiEvent(BaseModel):
    """An event of AG-UI 1.0 (https://docs.ag-ui.com/spec/1.0/schema): what else it has is told by its `type`."""

    model_config = ConfigDict(extra="allow")

    type: str
