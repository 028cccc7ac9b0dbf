"""Events of a run as notifications of progress."""

from agency_lambda.protocol.mcp.messages import Object, RequestId, notification
from agency_lambda.protocol.types import Event


class Progress:
    """Counts the activities of the agents: who uses which tool, or asks whom. They have no content."""

    def __init__(self, token: RequestId) -> None:
        self._token, self._count = token, 0

    def notification(self, event: Event) -> Object | None:
        """Return what a client is notified of, None for nothing."""
        item = event.get("item")
        if event["type"] != "response.output_item.added" or item is None:
            return None
        text = _activity(item)
        if text is None:
            return None
        self._count += 1
        params = {"progressToken": self._token, "progress": self._count, "message": text}
        return notification("notifications/progress", params)


def _activity(item: Object) -> str | None:
    agent = item.get("agent") or "The agent"
    match item["type"]:
        case "reasoning" if item.get("recipient"):
            return f"{agent} asks {item['recipient']}"
        case "reasoning" if item.get("tool"):
            return f"{agent} uses {item['tool']}"
        case "message":
            return f"{agent} answers"
        case "mcp_approval_request":
            return f"{agent} asks a person"
    return None
