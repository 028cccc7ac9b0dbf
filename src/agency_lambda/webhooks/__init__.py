"""What owners' own servers are told of their runs: the endpoints, the deliveries, and how they are sent."""

from typing import Literal

WebhookEvent = Literal[
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.cancelled",
    "response.approval_required",
]
