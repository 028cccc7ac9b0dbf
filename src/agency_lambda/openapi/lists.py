"""Pages of lists, and what is in them."""

from typing import Literal

from pydantic import BaseModel, Field

from agency_lambda.openapi.items import Item
from agency_lambda.openapi.response import ResponseStatus, ResponseUsage


class Page(BaseModel):
    """The next page is `after` the `last_id`."""

    object: Literal["list"]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ItemList(Page):
    data: list[Item]


class ListedResponse(BaseModel):
    """A response without what was said."""

    id: str
    object: Literal["response"]
    model: str
    status: ResponseStatus
    conversation: str | None
    background: bool
    created_at: int
    completed_at: int | None
    ended_at: int | None
    usage: ResponseUsage | None
    error_code: str | None = Field(description="why it is not completed")
    attempts: int | None
    waits_for: Literal["person", "agents"] | None = None
    open_messages: int | None = Field(default=None, description="between agents, without an answer yet")


class ResponseList(Page):
    data: list[ListedResponse]


class CallCounts(BaseModel):
    model_calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class ListedResponseOfOwner(ListedResponse):
    """A response as operators see it."""

    owner: str
    by_model: dict[str, CallCounts] = Field(description="by the provider's model")


class ResponseListOfOwners(Page):
    data: list[ListedResponseOfOwner]


class CancelledResponse(BaseModel):
    id: str
    object: Literal["response"]
    status: ResponseStatus


class CancelledResponseList(Page):
    """With `has_more` there are others: cancel again."""

    data: list[CancelledResponse]


class Conversation(BaseModel):
    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class ConversationList(Page):
    data: list[Conversation]


class DeletedConversation(BaseModel):
    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]
