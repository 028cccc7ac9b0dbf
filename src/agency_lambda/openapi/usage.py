"""What runs have used and cost, and what an owner may spend."""

from typing import Literal

from pydantic import BaseModel, Field


class UsageGroup(BaseModel):
    """The sums of a group, which the field `group_by` names."""

    agency: str | None = None
    day: str | None = None
    model: str | None = None
    runs: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None = Field(description="null if a model has no price")


class UsageGroupOfOwner(UsageGroup):
    """The sums of a group, for operators."""

    owner: str | None = None


class _UsagePage(BaseModel):
    object: Literal["list"]
    since: int = Field(alias="from", description="Unix seconds")
    until: int = Field(alias="to", description="Unix seconds")
    unpriced_models: list[str]
    last_id: str | None
    has_more: bool


class UsagePage(_UsagePage):
    data: list[UsageGroup]


class UsagePageOfOwners(_UsagePage):
    data: list[UsageGroupOfOwner]


class BudgetLimits(BaseModel):
    """null: no limit."""

    usd_per_day: float | None
    usd_per_month: float | None
    tokens_per_day: int | None
    tokens_per_month: int | None
    runs_at_once: int | None


class Amounts(BaseModel):
    usd: float
    tokens: int


class BudgetPeriod(BaseModel):
    spent: Amounts
    reserved: Amounts = Field(description="for model calls that are being made")
    closed: bool


class OwnersBudget(BaseModel):
    object: Literal["budget"]
    owner: str
    is_default: bool
    limits: BudgetLimits
    day: BudgetPeriod
    month: BudgetPeriod
    runs: int = Field(description="that go on now")
