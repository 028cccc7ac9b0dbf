"""Events of a run as notifications of progress."""

from agency_lambda.protocol.approvals import activity_line
from agency_lambda.protocol.mcp.messages import Object, RequestId, notification
from agency_lambda.protocol.types import Event, Item


class Progress:
    """Counts the activities of the agents: who uses which tool, or asks whom. They have no content."""

    def __init__(self, token: RequestId) -> None:
        self._token, self._count = token, 0
        self._activities: set[str] = set()  # ids of items

    def notification(self, event: Event) -> Object | None:
        """Return what a client is notified of, None for nothing."""
        text = self._text(event)
        if text is None:
            return None
        self._count += 1
        params = {"progressToken": self._token, "progress": self._count, "message": text}
        return notification("notifications/progress", params)

    def _text(self, event: Event) -> str | None:
        match event:
            case {"type": "response.output_item.added", "item": item}:
                return self._begun(item)
            case {"type": "response.reasoning_summary_text.done"} if event["item_id"] in self._activities:
                return str(event["text"])
        return None

    def _begun(self, item: Item) -> str | None:
        agent = item.get("agent") or "The agent"
        match item["type"]:
            case "reasoning" if "tool" in item:
                self._activities.add(item["id"])
            case "message":
                return f"{agent} answers"
            case "mcp_approval_request":
                return activity_line(item)
        return None
