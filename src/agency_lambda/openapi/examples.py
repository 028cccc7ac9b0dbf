"""Requests that generators and readers can begin with; a test sends each of them."""

from typing import Any

_MODEL = "desk"
_QUESTION = "Which appointments are free next week?"
_PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_WEATHER = {"name": "weather", "description": "The weather in a city now.", "parameters": _PARAMETERS, "strict": True}
_IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
_PARTS = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": _IMAGE}]

#: "METHOD path" -> a name -> the body
EXAMPLES: dict[str, dict[str, Any]] = {
    "POST /v1/responses": {
        "question": {"model": _MODEL, "input": _QUESTION},
        "stream": {"model": _MODEL, "input": _QUESTION, "stream": True},
        "background": {"model": _MODEL, "input": _QUESTION, "background": True, "metadata": {"ticket": "17"}},
        "function": {"model": _MODEL, "input": _QUESTION, "tools": [{"type": "function", **_WEATHER}]},
        "image": {"model": _MODEL, "input": [{"role": "user", "content": _PARTS}]},
    },
    "POST /v1/responses/compact": {"items": {"model": _MODEL, "input": [{"role": "user", "content": _QUESTION}]}},
    "POST /v1/chat/completions": {
        "question": {"model": _MODEL, "messages": [{"role": "user", "content": _QUESTION}]},
        "stream": {"model": _MODEL, "messages": [{"role": "user", "content": _QUESTION}], "stream": True},
    },
    "POST /v1/conversations": {
        "items": {"items": [{"role": "user", "content": _QUESTION}], "metadata": {"ticket": "17"}},
    },
    "POST /completion": {"question": {"message": _QUESTION, "thread_id": "ticket-17"}},
    "POST /v1/approvals/{approval_id}": {
        "approve": {"approve": True},
        "refuse": {"approve": False, "reason": "Not before Monday."},
        "answer": {"approve": True, "answer": "On Tuesday."},
    },
    "PUT /v1/webhooks": {"ends": {"url": "https://hooks.example.com/runs", "events": ["response.completed"]}},
    "PUT /v1/admin/budgets/{owner}": {"month": {"usd_per_month": 20.0, "runs_at_once": 5}},
}
