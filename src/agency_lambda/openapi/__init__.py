"""The OpenAPI document. Types are named as "module:name", and imported when somebody asks for the document."""

from typing import Any

type Responses = dict[int | str, dict[str, Any]]
"""What FastAPI's routes take as `responses`."""


def reference(name: str) -> dict[str, str]:
    """Return the schema of a type, by its "module:name"; anywhere in `responses` or `openapi_extra` of a route."""
    return {"$ref": name}


def documented(
    body: str, *, events: str | None = None, accepted: str | None = None, description: str | None = None
) -> Responses:
    """Return the successful responses of a route.

    Args:
        body: the type of the JSON, as "module:name".
        events: that of each server-sent event, of a route that streams.
        accepted: that of the 202.
        description: of the 200.
    """
    content = {"application/json": {"schema": reference(body)}}
    if events:
        content["text/event-stream"] = {"schema": reference(events)}
    responses: Responses = {200: {"content": content}}
    if description:
        responses[200]["description"] = description
    if accepted:
        responses[202] = {
            "description": "It goes on: ask again at `location`.",
            "content": {"application/json": {"schema": reference(accepted)}},
        }
    return responses
