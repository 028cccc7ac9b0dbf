from typing import Literal

from pydantic import BaseModel, Field

from agency_lambda.openapi.lists import Page

WebhookEventType = Literal[
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.cancelled",
    "response.approval_required",
]


class WebhookEndpoint(BaseModel):
    object: Literal["webhook"]
    url: str
    events: list[WebhookEventType]
    created_at: int
    secret: str | None = Field(default=None, description="if it is new: it is shown once")


class DeletedWebhook(BaseModel):
    object: Literal["webhook"]
    deleted: Literal[True]


class WebhookDelivery(BaseModel):
    id: str
    object: Literal["webhook.delivery"]
    event: WebhookEventType
    response_id: str
    created_at: int
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    last_attempt_at: int | None
    last_status: int | None = Field(description="of HTTP")
    last_error: str | None
    next_attempt_at: int | None


class WebhookDeliveryList(Page):
    data: list[WebhookDelivery]
