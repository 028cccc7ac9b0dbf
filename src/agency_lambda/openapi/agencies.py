"""Agencies, as models and as themselves; and the answer of GET /health."""

from typing import Literal

from pydantic import BaseModel, Field


class CallerResource(BaseModel):
    """Who asks."""

    object: Literal["caller"]
    owner: str
    operator: bool


class Health(BaseModel):
    status: Literal["ok"]
    version: str


class Model(BaseModel):
    """An agency, or an agent of one."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str = Field(description="the agency")


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[Model]


class Agent(BaseModel):
    name: str
    tools: list[str]
    conversation_starters: list[str]
    quick_replies: list[str]


class Flow(BaseModel):
    """Who sends messages to whom."""

    sender: str = Field(alias="from")
    recipient: str = Field(alias="to")


class AgencyError(BaseModel):
    code: str


class Agency(BaseModel):
    name: str
    entry_points: list[str]
    agents: list[Agent]
    flows: list[Flow]
    error: AgencyError | None = Field(default=None, description="why it does not work")


class AgencyList(BaseModel):
    agencies: list[Agency]
